import { z } from 'zod';
import { envelopeSchema } from '../channel/envelope.ts';
import { imageRecordSchema } from '../container/images/record.ts';
import { containerFactsSchema } from '../migration/commands.ts';
import {
  containerIdSchema,
  migrationIdSchema,
  serializedErrorSchema,
  timelineEntrySchema,
  verifiedSchema,
} from '../migration/record.ts';
import { shellStartSchema } from '../migration/shell.ts';

/** A number of nanoseconds as text: JSON has no bigint. */
const nanoseconds = z.string().regex(/^-?\d{1,20}$/);

/** The first frame of each channel: what it is for. */
export const openingSchema = z.discriminatedUnion('op', [
  /** Clock exchanges and a throughput probe between two nodes. */
  z.strictObject({ op: z.literal('link') }),
  /** Control channel of a switch, source to target; the controller's signed order comes with it. */
  z.strictObject({ op: z.literal('switch'), envelope: envelopeSchema }),
  /** What the container is: the target of a move asks its source, so that nothing in Redis can make it up. */
  z.strictObject({ op: z.literal('facts'), container: containerIdSchema }),
  /** A layer of this node's image store, as the controller's order to the asking node says. */
  z.strictObject({ op: z.literal('layer'), digest: z.string(), envelope: envelopeSchema }),
  /** What the image is whose layers that order names. */
  z.strictObject({ op: z.literal('image'), envelope: envelopeSchema }),
  /** CRIU's page images, as they are written. */
  z.strictObject({ op: z.literal('pages'), migration: migrationIdSchema }),
  /** The container's upper directory, in passes. */
  z.strictObject({ op: z.literal('upper'), migration: migrationIdSchema }),
  /** Source to a peer: frames for the container go to its source or target node from now on. */
  z.strictObject({ op: z.literal('repoint'), envelope: envelopeSchema }),
  /** The owners of a job's containers may have changed: ask the records. */
  z.strictObject({ op: z.literal('refresh'), job: z.number().int().min(1) }),
  /** Controller only: what the container wrote. */
  z.strictObject({ op: z.literal('output'), container: containerIdSchema }),
  /** Controller only: a program for a person, who is the container's user or an administrator. */
  z.strictObject({
    op: z.literal('shell'),
    container: containerIdSchema,
    by: z.string().max(64),
    start: shellStartSchema,
  }),
]);
export type Opening = z.infer<typeof openingSchema>;

export const factsAnswerSchema = z.strictObject({ op: z.literal('facts'), facts: containerFactsSchema });
/** Target to source: where a stream is taken, and its key. */
export const bulkAnswerSchema = z.strictObject({
  op: z.literal('bulk'),
  port: z.number().int().min(1).max(65_535),
  key: z.string().regex(/^[0-9a-f]{64}$/),
});
/** On the pages channel, target to source: there is room for what was announced. */
export const reservedSchema = z.strictObject({ op: z.literal('reserved') });
export const imageAnswerSchema = z.strictObject({ op: z.literal('image'), image: imageRecordSchema.nullable() });
/** The source asks for a stream for CRIU's page images: of a round while the ranks run, or (null) of the freeze. */
export const takeSchema = z.strictObject({
  op: z.literal('take'),
  round: z.number().int().min(1).max(1000).nullable(),
});
/** On the upper channel, target to source: all of a pass lies there. */
export const appliedSchema = z.strictObject({ op: z.literal('applied') });
export const readySchema = z.strictObject({ op: z.literal('ready') });

const imageFileSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,120}$/),
  size: z.number().int().min(0),
});

/** CRIU's metadata images follow as bulk bytes, in this order. */
export const imagesSchema = z.strictObject({ op: z.literal('images'), files: z.array(imageFileSchema).max(100_000) });

/** Requests on a link or control channel, source to target. */
export const toTargetSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('clock') }),
  /** A stream of bytes to be thrown away is to come from that address of the source. */
  z.strictObject({ op: z.literal('load'), source: z.ipv4() }),
  imagesSchema,
  z.strictObject({
    op: z.literal('restore'),
    /** Clocks of the restored container against the target node's clocks. */
    monotonicNs: nanoseconds,
    boottimeNs: nanoseconds,
  }),
]);
export type ToTarget = z.infer<typeof toTargetSchema>;

export const clockAnswerSchema = z.strictObject({
  op: z.literal('clock'),
  monotonicNs: nanoseconds,
  realtimeNs: nanoseconds,
});

/** What the target tells the source during a switch. */
export const toSourceSchema = z.discriminatedUnion('op', [
  clockAnswerSchema,
  z.strictObject({ op: z.literal('committed') }),
  /** The target will never commit this migration: its copy is destroyed or was never made. */
  z.strictObject({ op: z.literal('refused'), error: serializedErrorSchema }),
  z.strictObject({
    op: z.literal('running'),
    /** Unix time on the target at which the container ran. */
    runningAtNs: nanoseconds,
    /** Unix time on the target of the first data after the restore, or null. */
    firstDataAtNs: nanoseconds.nullable(),
    timeline: z.array(timelineEntrySchema),
    criu: z.record(z.string(), z.number()),
    pagesBytes: z.number(),
    verified: verifiedSchema.nullable(),
  }),
]);
export type ToSource = z.infer<typeof toSourceSchema>;

export const repointRequestSchema = z.strictObject({ op: z.literal('to'), owner: z.enum(['source', 'target']) });
export const doneSchema = z.strictObject({ op: z.literal('done') });

export const outputRequestSchema = z.strictObject({
  op: z.literal('read'),
  stdout: z.number().int().min(0),
  stderr: z.number().int().min(0),
  waitMs: z.number().int().min(0).max(30_000),
});
export const outputAnswerSchema = z.strictObject({
  op: z.literal('output'),
  /** Base64. */
  stdout: z.string(),
  stderr: z.string(),
  /** Exit code of the main program when it has ended and all output was read. */
  exit: z.number().int().nullable(),
});
export type OutputAnswer = z.infer<typeof outputAnswerSchema>;
