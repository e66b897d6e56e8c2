// SPDX-License-Identifier: Apache-2.0
//! The port that a terminal or host opens: a pseudo terminal with a name of its own.

use super::ServeError;
use crate::link::Link;
use crate::pty::Pty;
use std::path::Path;

/// A pseudo terminal, and the symbolic link to it.
pub(super) struct Port {
    pub(super) pty: Pty,
    _link: Option<Link>,
}

impl Port {
    pub(super) fn create(link: Option<&Path>) -> Result<Self, ServeError> {
        let io = |what: &str, path: &Path| {
            let what = format!("{what} {}", path.display());
            move |error| ServeError::Io { what, error }
        };
        let pty = Pty::create().map_err(io("pseudo terminal", Path::new("/dev/ptmx")))?;
        let link = match link {
            Some(path) => Some(Link::create(path, pty.path()).map_err(io("link", path))?),
            None => None,
        };
        Ok(Self { pty, _link: link })
    }
}
