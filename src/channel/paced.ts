/** Least time worth a timer, ms. */
const leastMs = 5;

/** The same stream, not faster than so many bytes per second; null for no limit. */
export async function* paced(
  stream: AsyncIterable<Uint8Array>,
  bytesPerSecond: number | null,
): AsyncGenerator<Uint8Array> {
  if (bytesPerSecond === null) {
    yield* stream;
    return;
  }
  // In pieces of a tenth of a second, so that a slow limit does not come in bursts of whole chunks.
  const piece = Math.max(4096, Math.floor(bytesPerSecond / 10));
  let due = performance.now();
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; at += piece) {
      const part = chunk.subarray(at, at + piece);
      const wait = due - performance.now();
      if (wait > leastMs) await new Promise((resolve) => setTimeout(resolve, wait));
      // What was not used is lost: a stream that stood still does not catch up.
      due = Math.max(due, performance.now() - leastMs) + (part.length / bytesPerSecond) * 1000;
      yield part;
    }
  }
}
