/**
 * An address out of an image, where it is one or four 32-bit words as they lay in memory: network byte order, read on a
 * little-endian machine. IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2) comes out as IPv4.
 */
export function formatAddress(words: readonly number[], version: 4 | 6): string {
  const bytes = Buffer.alloc(16);
  for (const [i, word] of words.slice(0, 4).entries()) bytes.writeUInt32LE(word, 4 * i);
  if (version === 4) return dotted(bytes.subarray(0, 4));
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff;
  if (mapped) return dotted(bytes.subarray(12));
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
  // The URL parser writes IPv6 in its canonical short form (RFC 5952).
  return new URL(`http://[${groups}]/`).hostname.slice(1, -1);
}

const dotted = (bytes: Uint8Array) => [...bytes].join('.');
