import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Envelope } from '../channel/envelope.ts';
import { sweepTemporary } from '../container/images/layer.ts';
import { registerReceived } from '../container/images/register-received.ts';
import { hasLayer } from '../container/images/store.ts';
import { receiveLayer } from '../container/images/transfer.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentAddress, CommandPayload } from '../migration/commands.ts';
import { isFinal } from '../migration/machine.ts';
import { patiently } from '../patience.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { within } from '../store/connection.ts';
import { readMigration } from '../store/migrations.ts';
import type { AgentContext } from './context.ts';
import { imageAnswerSchema } from './messages.ts';
import { connectFor } from './switch-connections.ts';

const lookMs = 300;
const questionMs = 2000;
/** A failure that another sender would not mend. */
const final = ['E_TARGET_FULL', 'E_CANCELLED', 'E_STALE'];

/** Layers that are being taken into this node's store now. */
const underWay = new Map<string, Promise<unknown>>();

/**
 * Takes the layers that this node lacks into its store, each by its digest from the nearest node that has it, and gives
 * the image its name here. Changes nothing else; what was taken stays also when the move does not happen. Idempotent.
 * @throws RankshiftError E_CANCELLED where the migration was called off, E_TARGET_FULL, E_IMAGE, E_LINK.
 */
export async function fetchLayers(
  context: AgentContext,
  order: CommandPayload<'fetch'>,
  envelope: Envelope,
): Promise<{ bytes: number; layers: { digest: string; from: string; bytes: number; ms: number }[] }> {
  const { config, node, log } = context;
  const watch = new AbortController();
  const signal = AbortSignal.any([watch.signal, context.stopping]);
  const watching = watchForEnd(context, order.migration, watch);
  const fetched: { digest: string; from: string; bytes: number; ms: number }[] = [];
  try {
    for (const layer of order.missing) {
      await inTurn(layer.digest, async () => {
        if (await hasLayer(config.imageStore, layer.digest)) return;
        const started = performance.now();
        const taken = await fromNearest(context, layer.digest, layer.from, envelope, signal);
        const ms = Math.round(performance.now() - started);
        log.info({ migration: order.migration, digest: layer.digest, ...taken, ms }, 'layer taken');
        fetched.push({ digest: layer.digest, ...taken, ms });
      });
    }
    await nameImage(context, order, envelope).catch((error: Error) =>
      // It serves the move without a name.
      log.warn({ image: order.image, error: error.message }, 'the image got no name here'),
    );
    return { bytes: fetched.reduce((sum, { bytes }) => sum + bytes, 0), layers: fetched };
  } catch (error) {
    if (!signal.aborted) throw whereFull(node, error);
    throw new RankshiftError('E_CANCELLED', `migration ${order.migration} was called off while layers were fetched`);
  } finally {
    watch.abort();
    await watching;
  }
}

/** Two moves towards this node may need the same layer: the second finds it, or does what the first could not. */
async function inTurn(digest: string, act: () => Promise<void>): Promise<void> {
  for (let other = underWay.get(digest); other !== undefined; other = underWay.get(digest)) {
    await other.catch(() => undefined);
  }
  const work = act();
  underWay.set(digest, work);
  try {
    await work;
  } finally {
    underWay.delete(digest);
  }
}

async function fromNearest(
  context: AgentContext,
  digest: string,
  candidates: readonly AgentAddress[],
  envelope: Envelope,
  signal: AbortSignal,
): Promise<{ from: string; bytes: number }> {
  let failure = new RankshiftError('E_IMAGE', `no node can send layer ${digest}`);
  for (const candidate of candidates) {
    if (signal.aborted) break;
    try {
      return { from: candidate.node, bytes: await fetchOne(context, digest, candidate, envelope, signal) };
    } catch (error) {
      failure = RankshiftError.from(error);
      if (final.includes(failure.code)) throw failure;
      context.log.warn({ digest, from: candidate.node, error: failure.message }, 'layer not taken');
    }
  }
  throw failure;
}

async function fetchOne(
  context: AgentContext,
  digest: string,
  from: AgentAddress,
  envelope: Envelope,
  signal: AbortSignal,
): Promise<number> {
  const { config, node } = context;
  const channel = await connectFor(context, from, { op: 'layer', digest, envelope });
  try {
    await breakpoint(config, 'target-fetching');
    const archive = new PassThrough({ highWaterMark: 1_048_576 });
    const options = { label: fetchLabel(node), signal };
    const taken = receiveLayer(config.imageStore, digest, archive, options).then(
      // Another node's fetch into a shared store may have been faster.
      () => void archive.resume(),
      (error: unknown) => {
        // What still comes has nowhere to go.
        channel.destroy();
        throw error;
      },
    );
    const [arrived, kept] = await Promise.allSettled([channel.pipeOut(archive, { signal }), taken]);
    if (arrived.status === 'rejected') archive.destroy(arrived.reason as Error);
    // A channel that was closed because of the archive is not the reason.
    if (kept.status === 'rejected' && arrived.status === 'fulfilled') throw kept.reason;
    if (kept.status === 'rejected' && RankshiftError.from(kept.reason).code !== 'E_LINK') throw kept.reason;
    if (arrived.status === 'rejected') throw arrived.reason;
    return arrived.value;
  } finally {
    channel.destroy();
  }
}

/** Temporary directories of this node's fetches, in a store that may be shared. */
const fetchLabel = (node: string) => `fetch-${node}-`;

/** After a start: what fetches of before have left. */
export async function dropBrokenFetches({ config, node }: AgentContext): Promise<void> {
  await sweepTemporary(config.imageStore, fetchLabel(node));
}

async function nameImage(context: AgentContext, order: CommandPayload<'fetch'>, envelope: Envelope): Promise<void> {
  const channel = await connectFor(context, order.source, { op: 'image', envelope });
  try {
    const { image } = await channel.next(imageAnswerSchema, { timeoutMs: patiently(10_000) });
    if (image === null) return;
    await registerReceived(context.config.imageStore, order.image, order.layers, image);
  } finally {
    channel.destroy();
  }
}

/** Aborts when the migration has ended or is to be cancelled. While Redis does not answer, fetching goes on. */
async function watchForEnd({ redis }: AgentContext, migration: string, watch: AbortController): Promise<void> {
  while (!watch.signal.aborted) {
    const record = await within(questionMs, readMigration(redis, migration)).catch(() => null);
    if (record !== null && (record.cancelRequested || isFinal(record.state))) watch.abort();
    if (watch.signal.aborted) return;
    await sleep(lookMs, undefined, { signal: watch.signal, ref: false }).catch(() => undefined);
  }
}

function whereFull(node: string, error: unknown): RankshiftError {
  const known = RankshiftError.from(error);
  if (!/No space left on device|Disk quota exceeded|ENOSPC/.test(known.message)) return known;
  return new RankshiftError('E_TARGET_FULL', `the image store of ${node} is full: ${known.message}`, { cause: error });
}
