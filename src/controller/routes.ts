import { z } from 'zod';
import { type ApiRequest, type Route, route } from '../api/route.ts';
import type { Credentials } from '../channel/credentials.ts';
import { RankshiftError } from '../errors.ts';
import { isFinal } from '../migration/machine.ts';
import { clockPolicySchema, migrationIdSchema, migrationRequestSchema, nodeNameSchema } from '../migration/record.ts';
import { listMigrations, readMigration } from '../store/migrations.ts';
import { readProgress } from '../store/progress.ts';
import { type Caller, identifyCaller, visibleContainers } from './authorize.ts';
import { balanceRoutes } from './balance-routes.ts';
import type { ControllerContext } from './context.ts';
import { groupRoutes } from './group-routes.ts';
import { history, historyQuerySchema } from './history.ts';
import { gatherNodes } from './node-facts.ts';
import { planSet } from './plan-set.ts';
import { checkPolicy } from './policy.ts';
import {
  cancelMigration,
  findContainer,
  planRequest,
  requireMigrationOwner,
  resolveMigration,
  submitMigration,
} from './requests.ts';
import { requireRedis } from './require-redis.ts';
import { runRoutes } from './run-routes.ts';
import { submitSet } from './submit-set.ts';
import { untilNews, waitSchema } from './until-news.ts';

const howSchema = z.strictObject({
  clockPolicy: clockPolicySchema.optional(),
  ...migrationRequestSchema.pick({
    ...{ quiesce: true, strategy: true, maxDowntimeMs: true, force: true, bandwidth: true },
    ...{ compression: true, streams: true, verify: true },
    ...{ notBefore: true, window: true, overridePolicy: true },
  }).shape,
});
const oneMove = { container: z.string().max(32), to: nodeNameSchema.optional() };
const moveSchema = howSchema.extend(oneMove);
/** Several containers, each with its target or what the whole set says, and how all of them go. */
const setSchema = howSchema.extend({
  moves: z.array(z.strictObject(oneMove)).min(1).max(200),
  gang: z.boolean().optional(),
  order: migrationRequestSchema.shape.order,
  dryRun: z.boolean().default(false),
});
/** The controller's API: what the CLI can ask, each request in the name of the user whom munge vouches for. */
export function apiRoutes(context: ControllerContext, credentials: Credentials): Route[] {
  const caller = (request: ApiRequest<unknown, unknown>) => identifyCaller(context, request.identity.uid);
  const routes = [
    route({
      method: 'GET',
      path: '/v1/containers',
      handle: async (request) => ({ containers: await visibleContainers(context, await caller(request)) }),
    }),
    route({
      method: 'GET',
      path: '/v1/nodes',
      handle: async () => ({ nodes: (await gatherNodes(context)).map(({ cpuFlags: _, ...node }) => node) }),
    }),
    route({
      method: 'POST',
      path: '/v1/plans',
      body: moveSchema,
      handle: async (request) => ({
        plan: await planRequest(
          context,
          await caller(request),
          await moveOf(context, await caller(request), request.body),
        ),
      }),
    }),
    route({
      method: 'POST',
      path: '/v1/migrations',
      body: moveSchema,
      handle: async (request) => {
        const who = await caller(request);
        return { migration: await submitMigration(context, who, await moveOf(context, who, request.body)) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/sets',
      body: setSchema,
      handle: async (request) => {
        const who = await caller(request);
        const { moves, dryRun, ...how } = request.body;
        const requests = await Promise.all(moves.map((one) => moveOf(context, who, { ...how, ...one })));
        return dryRun ? planSet(context, who, requests) : submitSet(context, who, requests);
      },
    }),
    route({
      method: 'GET',
      path: '/v1/migrations',
      query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(20) }),
      handle: async (request) => {
        const who = await caller(request);
        const own = new Set((await visibleContainers(context, who)).map(({ id }) => id));
        const all = await listMigrations(context.redis, request.query.limit);
        return {
          migrations: all.filter(
            (record) => who.admin || record.requestedBy.uid === who.uid || own.has(record.container),
          ),
        };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/migrations/:id',
      // With `wait` until its state is another than `seen`, or without that until its end.
      query: z.object({ wait: waitSchema, seen: z.string().max(32).optional() }),
      handle: async (request) => {
        const id = migrationId(request.params);
        const { wait, seen } = request.query;
        await requireMigrationOwner(context, await caller(request), await readMigration(context.redis, id));
        const record = await untilNews(
          () => readMigration(context.redis, id),
          ({ state }) => isFinal(state) || (seen !== undefined && state !== seen),
          wait,
          [request.signal, context.stopping],
        );
        // Beside the record, which is written by its driver alone.
        const moving = record.state === 'copying' || record.state === 'switching';
        const progress = moving ? await readProgress(context.redis, record.id) : null;
        return { migration: record, progress };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/migrations/:id/cancel',
      body: z.strictObject({}),
      handle: async (request) => cancelMigration(context, await caller(request), migrationId(request.params)),
    }),
    route({
      method: 'POST',
      path: '/v1/migrations/:id/resolve',
      body: z.strictObject({}),
      handle: async (request) => ({
        migration: await resolveMigration(context, await caller(request), migrationId(request.params)),
      }),
    }),
    route({
      method: 'GET',
      path: '/v1/history',
      query: historyQuerySchema,
      handle: async (request) => ({ migrations: await history(context, await caller(request), request.query) }),
    }),
    route({
      method: 'GET',
      path: '/v1/policy',
      query: z.object({ job: z.coerce.number().int().min(1).optional() }),
      handle: async (request) => ({
        policy: await checkPolicy(context, await caller(request), request.query.job ?? null),
      }),
    }),
    ...groupRoutes(context, caller),
    ...balanceRoutes(context, caller),
    ...runRoutes(context, credentials, caller),
  ];
  return routes.map((one) => requireRedis(context, one));
}

async function moveOf<B extends { container: string }>(
  context: ControllerContext,
  caller: Caller,
  body: B,
): Promise<B> {
  const { id } = await findContainer(context, caller, body.container);
  return { ...body, container: id };
}

function migrationId(params: Readonly<Record<string, string>>): string {
  const parsed = migrationIdSchema.safeParse(params['id']);
  if (!parsed.success) throw new RankshiftError('E_UNKNOWN_MIGRATION', `there is no migration ${params['id']}`);
  return parsed.data;
}
