/** Least time worth a timer, ms. */
const leastMs = 5;

/** The same stream, not faster than so many bytes per second, which may change on the way; null for no limit. */
export async function* paced(
  stream: AsyncIterable<Uint8Array>,
  limit: () => number | null,
): AsyncGenerator<Uint8Array> {
  let due = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      const bytesPerSecond = limit();
      // In pieces of a tenth of a second, so that a slow limit does not come in bursts of whole chunks.
      const piece = bytesPerSecond === null ? chunk.length : Math.max(4096, Math.floor(bytesPerSecond / 10));
      const part = chunk.subarray(at, at + piece);
      at += part.length;
      if (bytesPerSecond === null) {
        yield part;
        continue;
      }
      const wait = due - performance.now();
      if (wait > leastMs) await new Promise((resolve) => setTimeout(resolve, wait));
      // What was not used is lost: a stream that stood still does not catch up.
      due = Math.max(due, performance.now() - leastMs) + (part.length / bytesPerSecond) * 1000;
      yield part;
    }
  }
}
