//! Bytes between the SDK's bodies and ours.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use aws_sdk_s3::primitives;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body::{Body, Frame, SizeHint};

use crate::ports::objects::ByteStream;

/// What S3 sends.
pub(super) fn read(body: primitives::ByteStream) -> ByteStream {
    stream::unfold(body, |mut body| async move {
        let chunk = body.next().await?;
        Some((chunk.map_err(io::Error::other), body))
    })
    .boxed()
}

/// No bytes.
pub(super) fn nothing() -> ByteStream {
    stream::empty().boxed()
}

/// What S3 is sent: exactly `size` bytes, or an error.
pub(super) fn write(bytes: ByteStream, size: u64) -> primitives::ByteStream {
    // Behind a checksum the end is asked for twice.
    let bytes = Mutex::new(bytes.fuse().boxed());
    primitives::ByteStream::from_body_1_x(Sent { bytes, left: size })
}

/// The SDK wants bodies that may be shared between threads. This one never is, and so the lock is
/// never taken: the task that polls has the only reference.
struct Sent {
    bytes: Mutex<ByteStream>,
    left: u64,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let bytes = self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(chunk) = ready!(bytes.poll_next_unpin(context)).transpose()? else {
            let short = self.left > 0;
            return Poll::Ready(short.then(|| Err(io::ErrorKind::UnexpectedEof.into())));
        };
        match self.left.checked_sub(chunk.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            None => Poll::Ready(Some(Err(io::Error::other("more bytes than announced")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
