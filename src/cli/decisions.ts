import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type DecisionRecord, decisionRecordSchema } from '../migration/decision.ts';
import { formatTime, table } from './table.ts';

/** `rankshift decisions` */
export function decisionsCommand(): Command {
  return new Command('decisions')
    .description('what the balancer decided lately, and why')
    .option('-n, --last <n>', 'how many', parseCount, 20)
    .option('--no-header', 'without the heading')
    .option('--json', 'JSON, for programs')
    .action(async ({ last, header, json }: { last: number; header: boolean; json?: true }) => {
      const answer = await new ApiClient(loadConfig()).get(`/v1/decisions?limit=${last}`);
      const decisions = z.array(decisionRecordSchema).parse(answer.decisions);
      if (json) console.log(JSON.stringify({ version: 1, decisions }));
      else console.log(decisionTable(decisions, { noHeader: !header }));
    });
}

export function decisionTable(decisions: readonly DecisionRecord[], options: { noHeader: boolean }): string {
  const rows = decisions.map(({ at, container, act, mode, from, to, migration, why }) => [
    formatTime(at),
    container,
    act === 'move' && mode === 'dry-run' ? 'would move' : act,
    from,
    to ?? '-',
    migration ?? '-',
    why,
  ]);
  return table(['TIME', 'CONTAINER', 'DECISION', 'FROM', 'TO', 'MOVE', 'WHY'], rows, options);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1000) return count;
  throw new InvalidArgumentError('allowed is 1 to 1000');
}
