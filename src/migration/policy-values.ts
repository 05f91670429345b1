/** A value that was read, or what would have been allowed in its place. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; allowed: string };

/** Reads the text of one setting. */
export type Option<T> = (text: string) => Parsed<T>;

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const refused = (allowed: string): { ok: false; allowed: string } => ({ ok: false, allowed });
