import { RankshiftError } from '../errors.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { listContainers } from '../store/containers.ts';
import { userName } from './accounts.ts';
import type { ControllerContext } from './context.ts';

/** Who asks, as munge established it. */
export interface Caller {
  uid: number;
  name: string;
  admin: boolean;
}

export async function identifyCaller(context: ControllerContext, uid: number): Promise<Caller> {
  const name = await userName(uid);
  return { uid, name, admin: uid === 0 || context.config.admins.includes(name) };
}

/** The containers that a caller may see. */
export async function visibleContainers(context: ControllerContext, caller: Caller): Promise<ContainerRecord[]> {
  const all = await listContainers(context.redis);
  return caller.admin ? all : all.filter((container) => container.uid === caller.uid);
}

/** @throws RankshiftError E_NOT_PERMITTED where the owner is somebody else and the caller no administrator. */
export function requireOwner(caller: Caller, owner: { uid: number }, what: string): void {
  if (!caller.admin && caller.uid !== owner.uid) {
    throw new RankshiftError('E_NOT_PERMITTED', `${what} does not belong to ${caller.name}`);
  }
}

export function requireAdmin(caller: Caller, what: string): void {
  if (!caller.admin) throw new RankshiftError('E_NOT_PERMITTED', `${what} is for administrators`);
}
