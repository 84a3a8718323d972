import type { Component, Group } from './model';

export interface EdgeName {
  caller: string;
  callee: string;
}

/** An edge as one word, `Frontend Cart`: its key in lists, and its name in addresses. */
export function edgeKey(caller: string, callee: string): string {
  return `${caller} ${callee}`;
}

/** Whether calls along an edge stay within a process: everywhere, nowhere, or from some replicas. */
export type Reach = 'local' | 'remote' | 'both';

/** How people say it. */
export const REACH: Record<Reach, string> = {
  local: 'within a process',
  remote: 'between processes',
  both: 'within a process, and between processes',
};

/** Where calls from `from` to `to` go, as the components are divided now. */
export function reach(groups: Group[], from: string, to: string): Reach {
  const callers = groups.filter((group) => group.components.includes(from));
  const local = callers.filter((group) => group.components.includes(to)).length;
  return local === 0 ? 'remote' : local === callers.length ? 'local' : 'both';
}

/** Who is dependent on `component`. */
export function dependents(components: Component[], component: string): string[] {
  return components.filter((one) => one.dependencies.includes(component)).map((one) => one.name);
}
