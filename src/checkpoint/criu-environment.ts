import { dirname, join } from 'node:path';

/**
 * What CRIU's environment says that ours does not: in front of PATH the directory with what stands for tar(1), which
 * packs and unpacks the content of each tmpfs inside the freeze (docs/c-programs.md, "tar").
 */
export function criuEnvironment(nodeProgram: string): { PATH: string } {
  const own = join(dirname(nodeProgram), 'criu-path');
  return { PATH: `${own}:${process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin'}` };
}
