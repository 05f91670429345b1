import { z } from 'zod';
import { containerIdSchema, nodeNameSchema } from './record.ts';

/** What agents report to the controllers. Nobody acts on a report alone: the controller looks for itself. */
export const reportSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('container-ended'),
    node: nodeNameSchema,
    container: containerIdSchema,
    run: z.string().default(''),
    exit: z.number().int().nullable(),
  }),
  z.object({
    type: z.literal('hook'),
    node: nodeNameSchema,
    event: z.enum(['prolog', 'epilog']),
    job: z.number().int().min(1),
  }),
]);
export type Report = z.infer<typeof reportSchema>;
