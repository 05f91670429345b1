import { RankshiftError } from '../errors.ts';
import { type InspectResult, inspectResultSchema } from '../migration/commands.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { chooseTarget, type NodeFacts, planMove, stateIsKnown } from '../migration/plan.ts';
import type { Terms } from '../migration/policy-terms.ts';
import type { MigrationRequest, Plan } from '../migration/record.ts';
import type { OpenShell } from '../migration/shell.ts';
import { patiently } from '../patience.ts';
import { readContainer } from '../store/containers.ts';
import { readCostSamples } from '../store/costs.ts';
import type { ControllerContext } from './context.ts';
import { locateLayers } from './locate-layers.ts';
import { agentAddress, gatherNamed, gatherNodes } from './node-facts.ts';
import { allocationOutlook } from './plan-allocation.ts';
import { termsOfMove } from './policy.ts';

export interface Preflight {
  plan: Plan;
  container: ContainerRecord;
  inspection: InspectResult | null;
  /** With the limits of the policy. */
  request: MigrationRequest;
}

/**
 * Looks at both nodes and changes nothing: the plan of a move with every reason against it.
 * `rankshift plan` shows it, and each migration starts with it.
 * @param known the container, where nobody else can change it; and as of a moment ago its node and the one that was asked
 * for, and its terms.
 * @throws RankshiftError E_UNKNOWN_CONTAINER, E_UNKNOWN_NODE.
 */
export async function preflight(
  context: ControllerContext,
  request: MigrationRequest,
  known?: { container: ContainerRecord; nodes: Promise<NodeFacts[]> | undefined; terms?: Terms },
): Promise<Preflight> {
  const container = known?.container ?? (await readContainer(context.redis, request.container));
  if (container === null) throw new RankshiftError('E_UNKNOWN_CONTAINER', `there is no container ${request.container}`);
  // All nodes only where one of them has to be chosen.
  const look = () =>
    request.to === undefined ? gatherNodes(context) : gatherNamed(context, [container.owner, request.to]);
  const [nodes, terms] = await Promise.all([
    known?.nodes ?? look(),
    known?.terms ?? termsOfMove(context, container.job, request),
  ]);
  const source = await findNode(context, nodes, container.owner);
  const requested = request.to === undefined ? null : await findNode(context, nodes, request.to);
  // With a target that was asked for one look is enough; else its memory must be known before one can be chosen.
  const asked = requested?.agentAlive === true && requested.name !== source.name ? requested.name : null;
  const [first, outlook] = await Promise.all([
    inspect(context, container, asked),
    allocationOutlook(context, container),
  ]);
  const seen = first instanceof Error ? null : first;
  const memoryBytes = seen?.memoryBytes ?? 0;
  const target = requested ?? chooseTarget(source, nodes, memoryBytes, outlook.full);
  const probed =
    target === null || target.name === source.name ? target : await probe(context, target, source.name, seen);
  const again =
    asked === null && probed?.agentAlive === true && probed.name !== source.name && seen !== null
      ? await inspect(context, container, probed.name)
      : seen;
  const measured = again instanceof Error ? seen : again;
  const plan = planMove({
    container,
    source,
    sourceFacts: measured,
    sourceError: first instanceof Error ? first.message : null,
    target: probed?.name === source.name ? null : probed,
    requestedTarget: request.to ?? null,
    slurmSilent: !nodes.some(stateIsKnown),
    link: measured?.link ?? null,
    costs: await readCostSamples(context.redis),
    strategy: request.strategy ?? 'auto',
    // Only memory that is all there at the gate can be compared.
    postCopy: request.verify === true && context.config.postCopy === 'auto' ? 'asked' : context.config.postCopy,
    limits: terms.limits,
    allowed: terms.strategies,
    wire: {
      packings: measured?.packings ?? null,
      compression: request.compression ?? context.config.compression,
      streams: request.streams ?? context.config.streams,
      nodeBandwidth: context.config.nodeBandwidth,
      freezeLimited: context.config.freezeLimited,
    },
  });
  if (measured?.linkError != null) {
    plan.reasons.push({ code: 'link', message: `${source.name} cannot reach ${probed?.name}: ${measured.linkError}` });
  }
  plan.warnings.push(...(measured?.shells ?? []).map((shell) => shellWarning(container.id, shell)));
  plan.reasons.unshift(...terms.reasons);
  if (terms.notBefore !== null) plan.warnings.push(`it waits for ${terms.notBefore.why}`);
  const { bandwidth } = terms.limits;
  return {
    plan: await outlook.complete(plan),
    container,
    inspection: measured,
    request: { ...request, ...(bandwidth === undefined ? {} : { bandwidth }) },
  };
}

function shellWarning(container: string, { user, onMove }: OpenShell): string {
  const what = onMove === 'close' ? 'the move closes it' : 'the move waits for its end';
  return `a shell of ${user} is open in ${container}: ${what}`;
}

/** @throws RankshiftError E_UNKNOWN_NODE naming those that are known. */
export async function findNode(
  context: ControllerContext,
  nodes: readonly NodeFacts[],
  name: string,
): Promise<NodeFacts> {
  const node = nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node;
  const known = (await gatherNodes(context)).map((candidate) => candidate.name);
  throw new RankshiftError('E_UNKNOWN_NODE', `there is no node ${name}; known are ${known.join(', ')}`);
}

async function inspect(
  context: ControllerContext,
  container: ContainerRecord,
  target: string | null,
): Promise<InspectResult | Error> {
  try {
    const address = target === null ? null : await agentAddress(context, target);
    const payload = { container: container.id, target: address };
    const answer = await context.commands.send(container.owner, 'inspect', payload, {
      timeoutMs: patiently(10_000),
      container: container.id,
    });
    return inspectResultSchema.parse(answer);
  } catch (error) {
    context.log.warn({ container: container.id, error: (error as Error).message }, 'inspection failed');
    return error as Error;
  }
}

async function probe(
  context: ControllerContext,
  target: NodeFacts,
  source: string,
  inspection: InspectResult | null,
): Promise<NodeFacts> {
  if (!target.agentAlive || inspection === null) return target;
  try {
    return { ...target, ...(await locateLayers(context, target, source, inspection.facts.layers)) };
  } catch (error) {
    context.log.warn({ node: target.name, error: (error as Error).message }, 'probe failed');
    return { ...target, agentAlive: false };
  }
}
