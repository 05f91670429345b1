import { distancesResultSchema, type FetchOrder, type ProbeResult, probeResultSchema } from '../migration/commands.ts';
import type { NodeFacts } from '../migration/plan.ts';
import type { MissingLayer, Plan } from '../migration/record.ts';
import { patiently } from '../patience.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress, gatherNodes } from './node-facts.ts';

/** Nodes that are asked for layers: the source, and so many others at most. */
const mostAsked = 15;
const mostSenders = 8;
const askMs = patiently(10_000);

/** What the target's store has to say: which layers it lacks, and from where it gets each, the nearest first. */
export async function locateLayers(
  context: ControllerContext,
  target: NodeFacts,
  sourceName: string,
  layers: string[],
): Promise<Pick<NodeFacts, 'missingLayers' | 'storeFreeBytes'>> {
  const { missingLayers: missing, storeFreeBytes } = await probe(context, target.name, layers);
  if (missing.length === 0) return { missingLayers: [], storeFreeBytes };
  const nodes = await gatherNodes(context);
  const others = nodes.filter(({ name, agentAlive }) => agentAlive && name !== target.name && name !== sourceName);
  const asked = [sourceName, ...others.map(({ name }) => name).slice(0, mostAsked)];
  const answers = await Promise.all(asked.map((name) => probe(context, name, missing).catch(() => null)));
  const senders = asked.flatMap((name, index) => {
    const archives = answers[index]?.archives ?? [];
    return archives.length === 0 ? [] : [{ name, archives }];
  });
  const roundTrips = await distances(
    context,
    target.name,
    senders.map(({ name }) => name),
  ).catch(() => null);
  const load = (name: string) => nodes.find((node) => node.name === name)?.containers ?? 0;
  const ordered = senders
    .map((sender, index) => ({ ...sender, roundTripMs: roundTrips?.[index] ?? null }))
    .toSorted((a, b) => step(a.roundTripMs) - step(b.roundTripMs) || load(a.name) - load(b.name));
  const missingLayers = missing.map((digest): MissingLayer => {
    const having = ordered.filter(({ archives }) => archives.some((archive) => archive.digest === digest));
    const bytes = having[0]?.archives.find((archive) => archive.digest === digest)?.bytes ?? 0;
    const from = having.slice(0, mostSenders).map(({ name }) => name);
    return { digest, bytes, from, roundTripMs: having[0]?.roundTripMs ?? null };
  });
  return { missingLayers, storeFreeBytes };
}

/** Round trips within a fifth of a millisecond are those of one switch: then the idle node serves. */
const step = (ms: number | null) => (ms === null ? Number.MAX_SAFE_INTEGER : Math.floor(ms * 5));

async function probe({ commands }: ControllerContext, node: string, layers: string[]): Promise<ProbeResult> {
  return probeResultSchema.parse(await commands.send(node, 'probe', { layers }, { timeoutMs: askMs }));
}

async function distances(context: ControllerContext, from: string, to: string[]): Promise<(number | null)[]> {
  const addresses = await Promise.all(to.map((name) => agentAddress(context, name)));
  const answer = await context.commands.send(from, 'distances', { to: addresses }, { timeoutMs: askMs });
  return distancesResultSchema.parse(answer).roundTripMs;
}

/** The order to the target to fetch what a plan says that it lacks; null where it lacks nothing. */
export async function fetchOrder(
  context: ControllerContext,
  migration: string,
  plan: Plan,
  { image, layers }: { image: string; layers: string[] },
  bandwidth: number | null,
): Promise<FetchOrder | null> {
  if (plan.layers.length === 0) return null;
  const names = [...new Set([plan.source, ...plan.layers.flatMap(({ from }) => from)])];
  const addresses = new Map(
    await Promise.all(names.map(async (name) => [name, await agentAddress(context, name).catch(() => null)] as const)),
  );
  const missing = plan.layers.map(({ digest, bytes, from }) => ({
    digest,
    bytes,
    from: from.flatMap((name) => addresses.get(name) ?? []),
  }));
  return { migration, image, layers, missing, bandwidth, source: await agentAddress(context, plan.source) };
}
