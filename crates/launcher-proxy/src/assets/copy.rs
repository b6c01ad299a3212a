use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::Origin;
use super::cache::AssetCache;
use super::kept::KeptAsset;
use super::shelf::Key;
use super::storable::StorableHead;

/// What has passed so far of an answer that is to be kept. Forgotten when dropped.
pub(crate) struct Copy {
    key: Key,
    origin: Origin,
    head: StorableHead,
    parts: Vec<Bytes>,
    reserved: Reserved,
}

/// Memory that copies under way have of the cache.
struct Reserved {
    cache: Arc<AssetCache>,
    bytes: usize,
}

impl Copy {
    pub(crate) fn new(
        cache: Arc<AssetCache>,
        key: Key,
        origin: Origin,
        head: StorableHead,
    ) -> Self {
        Self {
            key,
            origin,
            head,
            parts: Vec::new(),
            reserved: Reserved { cache, bytes: 0 },
        }
    }

    /// With the next bytes, or `None` if there is no room for them.
    pub(crate) fn with(mut self: Box<Self>, data: &Bytes) -> Option<Box<Self>> {
        let has_room = self.reserved.grow(data.len());
        // Frames are parts of larger buffers, which they would keep.
        has_room.then(|| {
            self.parts.push(Bytes::copy_from_slice(data));
            self
        })
    }

    /// That was all of it.
    pub(crate) fn finish(self: Box<Self>) {
        let Self {
            key,
            origin,
            head,
            parts,
            reserved,
        } = *self;
        let mut body = BytesMut::with_capacity(reserved.bytes);
        parts.iter().for_each(|part| body.extend_from_slice(part));
        let asset = KeptAsset::new(head, body.freeze());
        reserved.cache.keep(key, origin, asset, Instant::now());
    }
}

impl Reserved {
    fn grow(&mut self, bytes: usize) -> bool {
        let has_room = self.cache.reserve(self.bytes, bytes);
        self.bytes += if has_room { bytes } else { 0 };
        has_room
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.cache.give_back(self.bytes);
    }
}
