// SPDX-License-Identifier: Apache-2.0
//! What makes the type of all commands out of a table with a row for each.

/// Each row is `TAG NAME from [SENDERS]: VARIANT`, and the fields of the value in the order of the
/// wire. A field reads and writes itself by its type ([`super::field`]). Its name is what an error
/// calls it, unless another one follows behind `=`; or behind `=>` stands what reads it instead,
/// names it, and may use the fields in front of it.
macro_rules! commands {
    ($(
        $(#[doc = $doc:literal])*
        $tag:literal $NAME:ident from [$($Sender:ident),*]:
        $Variant:ident
        $({ $(
            $(#[doc = $what:literal])*
            $field:ident: $Type:ty $(= $name:literal)? $(=> $read:expr)?
        ),* $(,)? })?
        $(($one:ident: $One:ty $(= $one_name:literal)? $(=> $one_read:expr)?))?,
    )*) => {
        /// The tags of all commands.
        pub mod tag {
            $(
                #[doc = concat!("[It](super::EmmCommand::", stringify!($Variant), ") begins with this.")]
                pub const $NAME: u8 = $tag;
            )*
            /// Every tag with the name of its command.
            pub const ALL: &[(u8, &str)] = &[$(($tag, stringify!($NAME))),*];
        }

        /// One command.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum EmmCommand {
            $(
                $(#[doc = $doc])*
                #[doc = concat!("\n", stringify!($NAME), ", tag ", stringify!($tag), ".")]
                $Variant $({ $($(#[doc = $what])* $field: $Type),* })? $(($One))?,
            )*
        }

        impl EmmCommand {
            /// The octet that it begins with.
            pub const fn tag(&self) -> u8 {
                match self {
                    $(Self::$Variant { .. } => $tag,)*
                }
            }

            /// Who may send the command with this tag. What has no row, nobody may.
            pub(super) const fn may_come_from(sender: Sender, tag: u8) -> bool {
                match tag {
                    $($tag => matches!(sender, $(Sender::$Sender)|*),)*
                    _ => false,
                }
            }

            fn read(tag: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(match tag {
                    $($tag => {
                        $($(let $field: $Type = read!(r, $field $(= $name)? $(=> $read)?);)*)?
                        $(let $one: $One = read!(r, $one $(= $one_name)? $(=> $one_read)?);)?
                        Self::$Variant $({ $($field),* })? $(($one))?
                    })*
                    _ => return Err(DecodeError::Unknown { tag }),
                })
            }

            fn emit_value(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$Variant $({ $($field),* })? $(($one))? => {
                        $($($field.emit(out);)*)?
                        $($one.emit(out);)?
                    })*
                }
            }
        }
    };
}

/// One field of a row.
macro_rules! read {
    ($r:ident, $field:ident) => {
        Read::read($r, stringify!($field))?
    };
    ($r:ident, $field:ident = $name:literal) => {
        Read::read($r, $name)?
    };
    ($r:ident, $field:ident => $read:expr) => {
        $read(&mut *$r)?
    };
    ($r:ident, $field:ident = $name:literal => $read:expr) => {
        compile_error!("a field with a reader of its own is named there, not behind `=`")
    };
}

pub(super) use commands;
pub(super) use read;
