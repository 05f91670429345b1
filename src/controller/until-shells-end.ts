import { shellsResultSchema } from '../migration/commands.ts';
import type { MigrationRecord } from '../migration/record.ts';
import type { OpenShell } from '../migration/shell.ts';
import { readContainer } from '../store/containers.ts';
import { readMigration } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';

const lookMs = 1000;

/** Waits for shells that were opened to be waited for, at most ShellWaitMs. Others are closed by the switch. */
export async function untilShellsEnd(
  context: ControllerContext,
  { id, container }: MigrationRecord,
  wait: (reason: string | null) => Promise<void>,
): Promise<void> {
  const deadline = Date.now() + context.config.shellWaitMs;
  let told = '';
  for (;;) {
    const [first] = (await openShells(context, container)).filter(({ onMove }) => onMove === 'wait');
    const { cancelRequested } = await readMigration(context.redis, id);
    if (first === undefined || cancelRequested || context.stopping.aborted || Date.now() > deadline) return;
    const reason = `a shell of ${first.user} in ${container}`;
    if (reason !== told) await wait(reason);
    told = reason;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** None where the node does not answer: the preflight says that. */
async function openShells(context: ControllerContext, id: string): Promise<OpenShell[]> {
  const container = await readContainer(context.redis, id);
  if (container === null) return [];
  const options = { timeoutMs: 5000, container: id };
  const answer = await context.commands.send(container.owner, 'shells', { container: id }, options).catch(() => null);
  return answer === null ? [] : shellsResultSchema.parse(answer).shells;
}
