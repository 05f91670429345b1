import { type Envelope, envelopeSchema, verifyEnvelope } from '../channel/envelope.ts';
import { ReplayGuard } from '../channel/replay-guard.ts';
import { RankshiftError } from '../errors.ts';
import { type CommandName, commandSchemas } from '../migration/commands.ts';
import { takeCommands } from '../store/commands.ts';
import type { RedisAddress } from '../store/connection.ts';
import { writeDropped, writeResult } from '../store/results.ts';
import { handlers } from './commands.ts';
import type { AgentContext } from './context.ts';

const concurrency = 32;

/** Takes this node's commands from its queue: signature, node, expiry, replay, schema; then the handler; then the answer. */
export function startCommandWorker(context: AgentContext, address: RedisAddress): { close(): Promise<void> } {
  const guard = new ReplayGuard();
  return takeCommands(context.redis, context.node, address, context.log, concurrency, async (data) => {
    const body = verifyEnvelope(context.commandKey, data, { node: context.node });
    guard.admit(body);
    if (body.instance !== undefined && body.instance !== context.instance) {
      // Its sender has given it up, or is about to: carried out now, it would undo what came after it.
      context.log.warn({ command: body.command, container: body.container }, 'meant for an earlier start: dropped');
      if (body.replyTo !== undefined) await writeDropped(context.redis, body.replyTo, body.id);
      return;
    }
    const started = performance.now();
    const answer = await carryOut(context, body.command, body.payload, envelopeSchema.parse(data)).then(
      (value) => ({ ok: true, value: value ?? null }),
      (error: unknown) => ({ ok: false, error: RankshiftError.from(error).toJSON() }),
    );
    const ms = performance.now() - started;
    const outcome = 'value' in answer ? 'ok' : answer.error.code;
    context.metrics.carriedOut(body.command, ms, outcome, 'value' in answer ? answer.value : null);
    context.log.info(
      {
        command: body.command,
        container: body.container,
        ms: Math.round(ms),
        ...answer,
        value: undefined,
      },
      body.command,
    );
    if (body.replyTo !== undefined) await writeResult(context.redis, body.replyTo, body.id, answer);
  });
}

async function carryOut(
  context: AgentContext,
  command: string,
  payload: unknown,
  envelope: Envelope,
): Promise<unknown> {
  if (!isCommand(command)) throw new RankshiftError('E_NOT_PERMITTED', `there is no command ${command}`);
  return dispatch(context, command, payload, envelope);
}

function dispatch<N extends CommandName>(
  context: AgentContext,
  command: N,
  payload: unknown,
  envelope: Envelope,
): Promise<unknown> {
  const parsed = commandSchemas[command].safeParse(payload);
  if (!parsed.success) throw new RankshiftError('E_NOT_PERMITTED', `${command}: ${parsed.error.message}`);
  const handler = handlers[command] as (
    context: AgentContext,
    payload: unknown,
    envelope: Envelope,
  ) => Promise<unknown>;
  return handler(context, parsed.data, envelope);
}

function isCommand(command: string): command is CommandName {
  return Object.hasOwn(commandSchemas, command);
}
