const multiples: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

const milliseconds: Record<string, number> = { ms: 1, '': 1, s: 1000, m: 60_000 };

/** `250`, `250ms`, `1.5s`, `2m`: milliseconds. Null for anything else. */
export function millisecondsOf(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  const value = Number(match?.[1]) * (milliseconds[match?.[2] ?? ''] ?? Number.NaN);
  return match === null || value <= 0 ? null : value;
}

/** `500K`, `100M`, `1.5G`, `1000000`, with or without `/s`: bytes per second, multiples of 1024. Null for anything else. */
export function bytesPerSecondOf(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?(?:\/s)?$/.exec(text);
  const value = Math.floor(Number(match?.[1]) * (multiples[match?.[2] ?? ''] ?? Number.NaN));
  return match === null || value < 1 ? null : value;
}
