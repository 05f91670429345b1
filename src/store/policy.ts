import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keyPrefix } from './connection.ts';

const key = `${keyPrefix}:policy`;

const filesSchema = z.array(z.object({ file: z.string(), content: z.string() }));
export type PolicyText = z.infer<typeof filesSchema>;

/** The files of the policy that was last found right: what stays in force while they are wrong, also over a restart. */
export async function keepPolicy(redis: Redis, files: PolicyText): Promise<void> {
  await redis.set(key, JSON.stringify(files));
}

export async function keptPolicy(redis: Redis): Promise<PolicyText | null> {
  const text = await redis.get(key);
  const parsed = text === null ? null : filesSchema.safeParse(JSON.parse(text));
  return parsed?.success ? parsed.data : null;
}
