import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { historyEntrySchema } from '../migration/history.ts';
import { migrationStates } from '../migration/record.ts';
import { expandHostlist } from '../slurm/hostlist.ts';
import { defaultFormat, fields, historyTable, parsable, parseFormat, stateName } from './history-format.ts';
import { parseTime } from './times.ts';

interface HistoryOptions {
  starttime?: string;
  endtime?: string;
  jobs?: string;
  nodelist?: string;
  user?: string;
  state?: string;
  format: string;
  helpformat?: true;
  header: boolean;
  parsable2?: true;
  json?: true;
}

/** `rankshift history`: moves of a time, in the manner of sacct. */
export function historyCommand(): Command {
  return new Command('history')
    .description('moves of a time, a job, a node or a user, in the manner of sacct')
    .option('-S, --starttime <time>', 'queued or under way after (default: midnight; with -j: ever)')
    .option('-E, --endtime <time>', 'queued or under way before (default: now)')
    .option('-j, --jobs <list>', 'of these jobs or containers: 42,43.1')
    .option('-w, --nodelist <nodes>', 'from or to these nodes: n[1-4]')
    .option('-u, --user <list>', 'of jobs of these users')
    .option('-s, --state <list>', 'in these states: completed,rolled-back')
    .option('-o, --format <fields>', 'fields, with a width where it is to be another: ID,State%12', defaultFormat)
    .option('-e, --helpformat', 'list the fields of --format')
    .option('-n, --no-header', 'without the heading')
    .option('-P, --parsable2', 'with | between the fields; bytes and milliseconds as numbers')
    .option('--json', 'JSON, for programs')
    .action(async (options: HistoryOptions) => {
      if (options.helpformat) {
        console.log(Object.keys(fields).join(' '));
        return;
      }
      const columns = parseFormat(options.format);
      const query = new URLSearchParams(queryOf(options)).toString();
      const answer = await new ApiClient(loadConfig()).get(`/v1/history?${query}`);
      const migrations = z.array(historyEntrySchema).parse(answer.migrations);
      if (options.json) return console.log(JSON.stringify({ version: 1, migrations }));
      const show = options.parsable2 ? parsable : historyTable;
      const text = show(columns, migrations, !options.header);
      if (text !== '') console.log(text);
    });
}

/** @throws RankshiftError E_BAD_INPUT. */
function queryOf({ starttime, endtime, jobs, nodelist, user, state }: HistoryOptions): Record<string, string> {
  const time = (option: string, text: string) => parseTime(option, text, { ofDay: 'today' });
  const since = starttime !== undefined ? time('-S', starttime) : jobs !== undefined ? 0 : time('-S', 'today');
  const until = endtime === undefined ? Date.now() : time('-E', endtime);
  if (since > until) throw new RankshiftError('E_BAD_INPUT', `-E ${endtime ?? 'now'} lies before -S ${starttime}`);
  if (jobs !== undefined && !/^\d+(\.\d+)?(,\d+(\.\d+)?)*$/.test(jobs))
    throw new RankshiftError('E_BAD_INPUT', `-j ${jobs}: not jobs or containers such as 42,43.1`);
  if (nodelist !== undefined) expandHostlist(nodelist);
  const states = state?.toLowerCase().replaceAll('_', '-').split(',') ?? [];
  const unknown = states.find((name) => !migrationStates.some((known) => known === name));
  if (unknown !== undefined)
    throw new RankshiftError('E_BAD_INPUT', `-s ${unknown}: allowed are ${migrationStates.map(stateName).join(', ')}`);
  return {
    since: String(since),
    until: String(until),
    ...(jobs === undefined ? {} : { jobs }),
    ...(nodelist === undefined ? {} : { nodes: nodelist }),
    ...(user === undefined ? {} : { users: user }),
    ...(states.length === 0 ? {} : { states: states.join(',') }),
  };
}
