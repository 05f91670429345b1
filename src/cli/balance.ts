import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { type DecisionRecord, decisionRecordSchema } from '../migration/decision.ts';
import { decisionTable } from './decisions.ts';

const lookMs = 5000;

/** `rankshift balance [--dry-run] [--once]` */
export function balanceCommand(): Command {
  return new Command('balance')
    .description('move containers that are held up by what else runs on their node')
    .option('--dry-run', 'say what would be done')
    .option('--once', 'one look, by what is held up now; without it, every 5 s until Ctrl-C, by what stays held up')
    .option('--json', 'JSON, for programs; one object per look')
    .action(async ({ dryRun, once, json }: { dryRun?: true; once?: true; json?: true }) => {
      const api = new ApiClient(loadConfig());
      const last = new Map<string, string>();
      for (;;) {
        const decisions = await look(api, { dryRun: dryRun === true, hold: once !== true });
        const news = once === true ? decisions : decisions.filter((decision) => isNews(decision, last));
        if (json === true) console.log(JSON.stringify({ version: 1, decisions }));
        else if (news.length > 0) console.log(decisionTable(news, { noHeader: last.size > news.length }));
        else if (once === true) console.log('no container is held up');
        if (once === true) return;
        await sleep(lookMs);
      }
    });
}

/** Without `--once` it goes on where another controller looks just now, or none answers for a while. */
async function look(api: ApiClient, options: { dryRun: boolean; hold: boolean }): Promise<DecisionRecord[]> {
  try {
    const answer = await api.post('/v1/balance', options);
    return z.array(decisionRecordSchema).parse(answer.decisions);
  } catch (error) {
    if (!options.hold || !['E_BUSY', 'E_SERVICE'].includes(RankshiftError.from(error).code)) throw error;
    console.error(`rankshift balance: ${(error as Error).message}`);
    return [];
  }
}

function isNews({ container, act, reason, to }: DecisionRecord, last: Map<string, string>): boolean {
  const text = [act, reason, to].join(' ');
  const news = last.get(container) !== text;
  last.set(container, text);
  return news;
}
