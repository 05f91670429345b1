import type { Job } from './job.ts';

/** The `value` lines of each repeat of an NPB kernel: all its results with all their bits. */
export function repeatsOf(job: Job): string[] {
  const sections = job.stdout.split(/^repeat \d+\n/m).slice(1);
  return sections.map((text) =>
    text
      .split('\n')
      .filter((line) => line.startsWith('value '))
      .join('\n'),
  );
}
