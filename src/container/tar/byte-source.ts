/** Reads exact amounts from a stream of chunks, which is what a tar reader needs. */
export class ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #position = 0;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position;
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#iterator.next();
    if (done === true) return false;
    this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return true;
  }

  /** Exactly `count` bytes, or fewer where the stream ends before. */
  async take(count: number): Promise<Buffer> {
    if (this.#rest.length >= count) return this.#cut(count);
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) break;
      const part = this.#cut(missing);
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** The next `count` bytes as they come, without gathering them. Ends early where the stream does. */
  async *chunks(count: number): AsyncGenerator<Buffer, number> {
    let missing = count;
    while (missing > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) break;
      const part = this.#cut(missing);
      missing -= part.length;
      if (part.length > 0) yield part;
    }
    return missing;
  }

  /** Reads the stream to its end, so that whoever hashes it upstream has seen all of it. */
  async drain(see: (bytes: Buffer) => void = () => undefined): Promise<void> {
    do see(this.#rest);
    while (await this.#more());
    this.#rest = Buffer.alloc(0);
  }

  /** Tells the stream that nothing more is wanted. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  #cut(most: number): Buffer {
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    this.#position += part.length;
    return part;
  }
}
