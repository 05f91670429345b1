import { z } from 'zod';

/** What a move does about a shell in its container. */
export const onMoveSchema = z.enum(['close', 'wait']);
export type OnMove = z.infer<typeof onMoveSchema>;

const base64 = z.base64().max(1_000_000);
const cells = z.number().int().min(1).max(9999);
export const terminalSizeSchema = z.strictObject({ columns: cells, rows: cells });

/** What is to run, and on what terminal; null: with pipes, as `ssh` without a terminal does. */
export const shellStartSchema = z.strictObject({
  /** Null: a shell. */
  command: z
    .array(z.string().regex(/^[^\0]*$/))
    .min(1)
    .max(4096)
    .nullable(),
  terminal: terminalSizeSchema.extend({ type: z.string().regex(/^[\w.+-]{1,64}$/) }).nullable(),
  onMove: onMoveSchema,
});
export type ShellStart = z.infer<typeof shellStartSchema>;

/** What goes to the program. `eof`: of its standard input, where that is a pipe. */
export const toShellSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('input'), data: base64 }),
  z.strictObject({ type: z.literal('size'), ...terminalSizeSchema.shape }),
  z.strictObject({ type: z.literal('eof') }),
]);
export type ToShell = z.infer<typeof toShellSchema>;

/** What comes of it. `closed`: why it was ended from outside; its exit follows. */
export const fromShellSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('started'), node: z.string() }),
  z.strictObject({ type: z.literal('output'), to: z.enum(['stdout', 'stderr']), data: base64 }),
  z.strictObject({ type: z.literal('closed'), why: z.string() }),
  z.strictObject({ type: z.literal('exit'), code: z.number().int().min(0).max(255) }),
]);
export type FromShell = z.infer<typeof fromShellSchema>;

/** A shell that is open in a container. */
export const openShellSchema = z.object({ user: z.string(), onMove: onMoveSchema });
export type OpenShell = z.infer<typeof openShellSchema>;
