// SPDX-License-Identifier: Apache-2.0
//! AES as all of this system uses it; with the feature `meter` its blocks are counted.

#[cfg(not(feature = "meter"))]
pub use aes::{Aes128, Aes192, Aes256};
#[cfg(feature = "meter")]
pub use metered::{Aes128, Aes192, Aes256};

#[cfg(feature = "meter")]
mod metered {
    use aes::cipher::common::{BlockSizeUser, KeySizeUser, ParBlocksSizeUser};
    use aes::cipher::typenum::U1;
    use aes::cipher::{
        Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
        BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, InOut, Key, KeyInit,
    };
    use cam_types::meter;

    /// AES-128, counted.
    pub type Aes128 = Metered<aes::Aes128>;
    /// AES-192, counted.
    pub type Aes192 = Metered<aes::Aes192>;
    /// AES-256, counted.
    pub type Aes256 = Metered<aes::Aes256>;

    /// A cipher whose blocks are counted, one at a time.
    #[derive(Clone)]
    pub struct Metered<C>(C);

    impl<C: KeySizeUser> KeySizeUser for Metered<C> {
        type KeySize = C::KeySize;
    }

    impl<C: KeyInit> KeyInit for Metered<C> {
        fn new(key: &Key<Self>) -> Self {
            Self(C::new(key))
        }
    }

    impl<C: BlockSizeUser> BlockSizeUser for Metered<C> {
        type BlockSize = C::BlockSize;
    }

    impl<C: BlockCipherEncrypt> BlockCipherEncrypt for Metered<C> {
        fn encrypt_with_backend(
            &self,
            closure: impl BlockCipherEncClosure<BlockSize = Self::BlockSize>,
        ) {
            closure.call(&Single(&self.0));
        }
    }

    impl<C: BlockCipherDecrypt> BlockCipherDecrypt for Metered<C> {
        fn decrypt_with_backend(
            &self,
            closure: impl BlockCipherDecClosure<BlockSize = Self::BlockSize>,
        ) {
            closure.call(&Single(&self.0));
        }
    }

    struct Single<'a, C>(&'a C);

    impl<C: BlockSizeUser> BlockSizeUser for Single<'_, C> {
        type BlockSize = C::BlockSize;
    }

    impl<C: BlockSizeUser> ParBlocksSizeUser for Single<'_, C> {
        type ParBlocksSize = U1;
    }

    impl<C: BlockCipherEncrypt> BlockCipherEncBackend for Single<'_, C> {
        fn encrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
            meter::aes();
            self.0.encrypt_block_inout(block);
        }
    }

    impl<C: BlockCipherDecrypt> BlockCipherDecBackend for Single<'_, C> {
        fn decrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
            meter::aes();
            self.0.decrypt_block_inout(block);
        }
    }

    impl<C: zeroize::ZeroizeOnDrop> zeroize::ZeroizeOnDrop for Metered<C> {}
}
