import type { Group, Status } from './model';

/** What shape an application has, at a glance. */
export interface Kind {
  name: 'Monolith' | 'Replicated monolith' | 'Microservices' | 'A mix' | 'Stopping';
  about: string;
}

/** The shape that `status` has, by what stays: what a reshape is about to take away is left out. */
export function kindOf(status: Status): Kind {
  const groups = status.groups.filter(stays);
  const processes = groups.reduce((sum, group) => sum + running(group), 0);
  const components = new Set(groups.flatMap((group) => group.components)).size;
  const [only] = groups;
  if (only === undefined) {
    return { name: 'Stopping', about: 'what was begun is ended, and nothing new is taken in' };
  }
  if (groups.length === 1 && only.components.length > 1) {
    return processes > 1
      ? { name: 'Replicated monolith', about: `all ${components} components in each of ${processes} processes` }
      : { name: 'Monolith', about: `all ${components} components in one process` };
  }
  if (groups.every((group) => group.components.length === 1)) {
    return {
      name: 'Microservices',
      about: `${count(components, 'component')}, each in ${components === processes ? 'a process' : 'processes'} of its own${
        components === processes ? '' : `: ${processes} of them`
      }`,
    };
  }
  return { name: 'A mix', about: `${count(components, 'component')} in ${count(groups.length, 'group')} and ${processes} processes` };
}

function stays(group: Group): boolean {
  return group.replicas.length === 0 || running(group) > 0;
}

function running(group: Group): number {
  return group.replicas.filter(({ state }) => state !== 'draining' && state !== 'stopped').length;
}

/** `1 group`, `2 groups`. */
export function count(number: number, one: string, several = `${one}s`): string {
  return `${number} ${number === 1 ? one : several}`;
}
