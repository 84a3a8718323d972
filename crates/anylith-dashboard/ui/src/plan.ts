import { count } from './kind';
import type { GroupChange, Plan } from './model';

/** One line of a plan, for people. */
export interface PlanLine {
  mark: '+' | '−' | '~' | '=';
  word: 'starts' | 'leaves' | 'changes' | 'stays';
  group: string;
  text: string;
}

/** What a plan does with each group: what changes first, and what stays last. */
export function linesOf(plan: Plan): PlanLine[] {
  const lines = plan.groups.map(lineOf);
  return [...lines.filter((line) => line.mark !== '='), ...lines.filter((line) => line.mark === '=')];
}

function lineOf(change: GroupChange): PlanLine {
  const { name: group, becomes, components, comes, goes, before, after } = change;
  const own = components.join(', ');
  if (becomes === 'new') {
    return { mark: '+', word: 'starts', group, text: `${count(after, 'replica')}: ${own}` };
  }
  if (becomes === 'gone') {
    return { mark: '−', word: 'leaves', group, text: `${count(before, 'replica')}: ${own}` };
  }
  const size = before === after ? count(after, 'replica') : `${count(after, 'replica')} instead of ${before}`;
  const parts = [own, ...comes.map((name) => `+ ${name}`), ...goes.map((name) => `− ${name}`)].filter(Boolean);
  const same = before === after && comes.length === 0 && goes.length === 0;
  return { mark: same ? '=' : '~', word: same ? 'stays' : 'changes', group, text: `${size}: ${parts.join(', ')}` };
}

/** How many processes there are, and how much memory they take. */
export function costOf(plan: Plan): string[] {
  const { before, peak, after } = plan.processes;
  const cost = [`${count(before, 'process', 'processes')} now, ${peak} at the peak, ${after} after`];
  if (plan.memory !== undefined) {
    const [now, peak] = [mebibytes(plan.memory.before_bytes), mebibytes(plan.memory.peak_bytes)];
    cost.push(`${now} MiB of memory now, at most about ${peak} MiB at the peak`);
  }
  return cost;
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 1024 / 1024);
}

const SIZE = /^\d+(\s*\.\.=?\s*\d+)?$/;

/** What is wrong with `3`, `1..6`, or a list such as `2,Catalog=1..6`, as far as one need not ask; nothing if that is nothing. */
export function wrongIn(sizes: string): string | undefined {
  const parts = sizes.split(',').map((part) => part.replace(/^\s*[A-Za-z][\w-]*\s*=/, '').trim());
  const wrong = parts.find((part) => !SIZE.test(part));
  return wrong === undefined ? undefined : `\`${wrong}\` is not a number of replicas: write 3, or 1..6`;
}
