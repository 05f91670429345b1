import { z } from 'zod';
import { type ApiRequest, type Route, route } from '../api/route.ts';
import { RankshiftError } from '../errors.ts';
import type { GroupRecord } from '../migration/group.ts';
import { groupIdSchema } from '../migration/record.ts';
import { nodeEvents } from '../slurm/install-plan.ts';
import { listGroups, readGroup } from '../store/groups.ts';
import { readMigrations } from '../store/migrations.ts';
import { readProgress } from '../store/progress.ts';
import { type Caller, requireAdmin, visibleContainers } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { cancelGroup, evacuationSchema, planWish, readWish, returnSchema, startGroup } from './evacuate.ts';
import { limitsOf } from './turn-taker.ts';
import { untilNews, waitSchema } from './until-news.ts';

type WhoAsks = (request: ApiRequest<unknown, unknown>) => Promise<Caller>;

/** Evacuations and returns: administrators and Slurm's own user start them; a set is its user's, and users see what concerns their containers. */
export function groupRoutes(context: ControllerContext, caller: WhoAsks): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/evacuations',
      body: evacuationSchema,
      handle: async (request) => {
        const who = mayEvacuate(context, await caller(request));
        const wish = await readWish(context, 'evacuation', request.body);
        return request.body.dryRun ? planWish(context, wish) : startGroup(context, wish, who);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/returns',
      body: returnSchema,
      handle: async (request) => {
        const who = mayEvacuate(context, await caller(request));
        const wish = await readWish(context, 'return', { ...request.body, origin: 'command' });
        return request.body.dryRun ? planWish(context, wish) : startGroup(context, wish, who);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/node-events',
      body: z.strictObject({ event: z.enum(nodeEvents), nodes: z.string().max(100_000) }),
      handle: async (request) => {
        mayEvacuate(context, await caller(request));
        context.log.info(request.body, 'a trigger of Slurm');
        // It says that something changed; what, Slurm is asked.
        void context.lookAtNodes?.('trigger');
        return {};
      },
    }),
    route({
      method: 'GET',
      path: '/v1/groups',
      query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(20) }),
      handle: async (request) => {
        const who = await caller(request);
        const groups = await listGroups(context.redis, request.query.limit);
        const seen = await Promise.all(groups.map((one) => seenBy(context, who, one).catch(() => null)));
        return { groups: seen.filter((one) => one !== null) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/groups/:id',
      query: z.object({ wait: waitSchema }),
      handle: async (request) => {
        const who = await caller(request);
        const { id } = await seenBy(context, who, await readGroup(context.redis, groupId(request.params)));
        const signals = [request.signal, context.stopping];
        const look = () => readGroup(context.redis, id);
        const last = await untilNews(look, ({ state }) => state !== 'active', request.query.wait, signals);
        const record = await seenBy(context, who, last);
        const ids = record.members.flatMap(({ migration }) => migration ?? []);
        const migrations = await readMigrations(context.redis, ids);
        const moving = migrations.filter(({ state }) => state === 'copying' || state === 'switching');
        const progress = await Promise.all(moving.map(async ({ id }) => [id, await readProgress(context.redis, id)]));
        const limits = limitsOf(context.config);
        return { group: record, migrations, progress: Object.fromEntries(progress), limits };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/groups/:id/cancel',
      body: z.strictObject({}),
      handle: async (request) => {
        const who = await caller(request);
        const { id, kind, requestedBy } = await readGroup(context.redis, groupId(request.params));
        if (kind !== 'set' || requestedBy.uid !== who.uid) mayEvacuate(context, who);
        return cancelGroup(context, id);
      },
    }),
  ];
}

/** Slurm's own programs (triggers, RebootProgram) come with the identity of SlurmUser. */
function mayEvacuate({ config }: ControllerContext, caller: Caller): Caller {
  if (caller.name !== config.slurmUser) requireAdmin(caller, 'emptying nodes');
  return caller;
}

/** The group with those members only that the caller may see. @throws RankshiftError E_NOT_PERMITTED where there are none. */
async function seenBy(context: ControllerContext, caller: Caller, group: GroupRecord): Promise<GroupRecord> {
  const own = group.requestedBy.uid === caller.uid;
  if (own || caller.admin || caller.name === context.config.slurmUser) return group;
  const jobs = new Set((await visibleContainers(context, caller)).map(({ job }) => job));
  const members = group.members.filter(({ job }) => jobs.has(job));
  if (members.length === 0) {
    throw new RankshiftError('E_NOT_PERMITTED', `${group.id} moves no container of ${caller.name}`);
  }
  return { ...group, members };
}

function groupId(params: Readonly<Record<string, string>>): string {
  const parsed = groupIdSchema.safeParse(params['id']);
  if (parsed.success) return parsed.data;
  throw new RankshiftError('E_UNKNOWN_GROUP', `there is no evacuation, return or set ${params['id']}`);
}
