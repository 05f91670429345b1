import { z } from 'zod';

export const compressionSchema = z.enum(['none', 'lz4', 'zstd']);
export type Compression = z.infer<typeof compressionSchema>;
export const mostStreams = 16;
export const streamsSchema = z.number().int().min(1).max(mostStreams);

/** How a container's memory goes over the link. */
export const wireSchema = z.strictObject({ compression: compressionSchema, streams: streamsSchema });
export type Wire = z.infer<typeof wireSchema>;

export const plainWire: Wire = { compression: 'none', streams: 1 };
