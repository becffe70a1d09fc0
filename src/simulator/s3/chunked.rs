//! Bodies in the encoding `aws-chunked`, in which SDKs send streams with a checksum behind them.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};

/// Longer than any line between chunks that has a signature.
const LONGEST_LINE: usize = 16 * 1024;

struct Chunked<S> {
    body: S,
    buffer: BytesMut,
    /// Bytes of the chunk that are to come.
    left: usize,
}

/// The bytes without what is between them. Signatures and checksums are not looked at.
pub(super) fn decode<S, E>(body: S) -> impl Stream<Item = Result<Bytes, io::Error>> + Send
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let start = Chunked { body, buffer: BytesMut::new(), left: 0 };
    let chunks =
        stream::try_unfold(
            start,
            |mut state| async move { Ok(state.next().await?.map(|bytes| (bytes, state))) },
        );
    chunks.fuse()
}

impl<S, E> Chunked<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 && !self.header().await? {
            return Ok(None);
        }
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        let bytes = self.buffer.split_to(self.left.min(self.buffer.len())).freeze();
        self.left -= bytes.len();
        Ok(Some(bytes))
    }

    /// Reads the size of the next chunk; whether there is one.
    async fn header(&mut self) -> io::Result<bool> {
        loop {
            let line = self.line().await?;
            // The end of the chunk before.
            if line.is_empty() {
                continue;
            }
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size =
                std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
            self.left = size.ok_or_else(|| io::Error::other("a chunk has no size"))?;
            if self.left == 0 {
                // The connection is to be used again: what trails is read.
                while let Some(rest) = self.body.next().await {
                    rest.map_err(io::Error::other)?;
                }
            }
            return Ok(self.left > 0);
        }
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(io::Error::other("a chunk has no end of line"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.body.next().await {
            Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn decoded(text: &str, cut: usize) -> io::Result<Vec<u8>> {
        let cuts: Vec<_> =
            text.as_bytes().chunks(cut).map(|cut| io::Result::Ok(Bytes::copy_from_slice(cut))).collect();
        let mut all = Vec::new();
        let mut stream = std::pin::pin!(decode(stream::iter(cuts)));
        while let Some(bytes) = stream.next().await {
            all.extend_from_slice(&bytes?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn however_it_is_cut() {
        let text =
            "5;chunk-signature=abc\r\nhel\r\n\r\nB\r\no wonderful\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for cut in [1, 2, 3, 7, 100] {
            assert_eq!(decoded(text, cut).await.unwrap(), b"hel\r\no wonderful", "{cut}");
        }
        assert_eq!(decoded("0\r\n\r\n", 1).await.unwrap(), b"");
        for torn in ["5\r\nhel", "5\r\nhello\r\n", "x\r\n"] {
            assert!(decoded(torn, 2).await.is_err(), "{torn}");
        }
    }
}
