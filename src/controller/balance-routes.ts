import { z } from 'zod';
import { type ApiRequest, type Route, route } from '../api/route.ts';
import { readDecisions } from '../store/decisions.ts';
import { type Caller, requireAdmin, visibleContainers } from './authorize.ts';
import { balanceOnce } from './balance.ts';
import type { ControllerContext } from './context.ts';

/** `rankshift balance` and `rankshift decisions`. */
export function balanceRoutes(
  context: ControllerContext,
  caller: (request: ApiRequest<unknown, unknown>) => Promise<Caller>,
): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/balance',
      body: z.strictObject({ dryRun: z.boolean(), hold: z.boolean() }),
      handle: async (request) => {
        requireAdmin(await caller(request), 'balancing');
        return { decisions: await balanceOnce(context, request.body) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/decisions',
      query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(20) }),
      handle: async (request) => {
        const who = await caller(request);
        const own = new Set((await visibleContainers(context, who)).map(({ id }) => id));
        const all = await readDecisions(context.redis, request.query.limit);
        return { decisions: all.filter(({ container }) => who.admin || own.has(container)) };
      },
    }),
  ];
}
