/** A frame on the wire: 4 bytes length of the payload (big endian), 1 byte type, payload. */
export const headerBytes = 5;

/** Largest payload of a frame. */
export const largestFrameBytes = 1024 * 1024;

export const frameType = {
  /** One value as JSON. */
  json: 1,
  /** Bulk bytes. */
  bytes: 2,
  /** End of bulk bytes; payload: their number as 8 bytes, big endian. */
  end: 3,
  /** The sender failed; payload: a SerializedError as JSON. */
  error: 4,
  /** The sender lives. */
  ping: 5,
  /** From here on the sender's bytes are no frames. */
  raw: 6,
  /** The sender closes in order. */
  close: 7,
} as const;

export type FrameType = (typeof frameType)[keyof typeof frameType];

/** Header of a frame. */
export function encodeHeader(type: FrameType, length: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  header.writeUInt32BE(length, 0);
  header.writeUInt8(type, 4);
  return header;
}

/** A whole small frame in one buffer. */
export function encodeFrame(type: FrameType, payload: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([encodeHeader(type, payload.length), payload]);
}

/** The frame that ends bulk bytes, with their number. */
export function encodeEnd(count: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(count));
  return encodeFrame(frameType.end, payload);
}

/** The number in an end frame. @throws RangeError where the payload is too short. */
export function decodeEnd(payload: Buffer): number {
  return Number(payload.readBigUInt64BE());
}

export interface FrameSink {
  /** A whole frame of any type but bytes and raw. */
  frame(type: FrameType, payload: Buffer): void;
  /** A slice of a bytes frame, as it came; not copied. */
  slice(bytes: Buffer): void;
}

/**
 * Parses frames from the chunks of a stream. Bulk bytes are handed on in slices without a copy; other frames whole.
 */
export class FrameParser {
  readonly #sink: FrameSink;
  /** Bytes of an unfinished header or frame. */
  #held: Buffer = Buffer.alloc(0);
  /** Bytes of the current bytes frame that are still to come. */
  #sliceLeft = 0;
  #raw = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /**
   * Takes the next chunk. Once a raw frame has come it returns what followed that frame (perhaps nothing, but not
   * undefined), and must not be called again.
   * @throws Error where the peer does not keep to the protocol.
   */
  push(chunk: Buffer): Buffer | undefined {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    while (bytes.length > 0) {
      if (this.#sliceLeft > 0) {
        const slice = bytes.subarray(0, this.#sliceLeft);
        this.#sliceLeft -= slice.length;
        bytes = bytes.subarray(slice.length);
        this.#sink.slice(slice);
        continue;
      }
      const used = this.#frame(bytes);
      if (used === 0) {
        this.#held = bytes;
        return undefined;
      }
      bytes = bytes.subarray(used);
      if (this.#raw) return bytes;
    }
    return undefined;
  }

  /** Bytes used of a frame's beginning; 0 where more are needed. */
  #frame(bytes: Buffer): number {
    if (bytes.length < headerBytes) return 0;
    const length = bytes.readUInt32BE(0);
    const type = bytes.readUInt8(4);
    if (!isFrameType(type)) throw new Error(`frame of unknown type ${type}`);
    if (length > largestFrameBytes)
      throw new Error(`frame of ${length} bytes, at most ${largestFrameBytes} are allowed`);
    if (type === frameType.bytes) {
      this.#sliceLeft = length;
      return headerBytes;
    }
    if (bytes.length < headerBytes + length) return 0;
    if (type === frameType.raw) this.#raw = true;
    else this.#sink.frame(type, bytes.subarray(headerBytes, headerBytes + length));
    return headerBytes + length;
  }
}

function isFrameType(value: number): value is FrameType {
  return value >= frameType.json && value <= frameType.close;
}
