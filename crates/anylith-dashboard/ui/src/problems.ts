import { type EdgeName, edgeKey } from './edges';
import { rate } from './figures';
import { count } from './kind';
import { type Failure, type State, replicasOf } from './model';
import type { Numbers } from './numbers';

/** How grave a problem is: something fails; something is not as it should be; something takes its time. */
export type Gravity = 'failing' | 'warning' | 'waiting';

export interface Problem {
  /** Tells it from all others, for as long as it lasts. */
  key: string;
  gravity: Gravity;
  title: string;
  text: string;
  /** The replica whose last lines may tell more. */
  replica?: string;
  /** The edge whose numbers tell more. */
  edge?: EdgeName;
}

/** Counts that say that something is wrong, and in which words. All others are part of how calls go. */
const COUNTS: Record<string, [string, string, string]> = {
  denied: ['call', 'calls', 'denied: the dependency graph does not have that edge'],
  unauthenticated: ['connection', 'connections', 'refused: the peer did not prove that it belongs to the application'],
  misbehaved: ['connection', 'connections', 'closed: the peer broke the protocol'],
  crowded: ['connection', 'connections', 'refused for want of room'],
  overloaded: ['call', 'calls', 'refused: there were as many as it can do'],
  withheld: ['call of its own', 'calls of its own', 'not sent: too many were under way'],
  panicked: ['panic', 'panics', 'caught'],
  ejected: ['replica', 'replicas', 'left alone for a while: it failed, or was far slower than its like'],
};

/** What it means that calls fail in one way or another. */
const FAILED: Record<Failure, string> = {
  erred: 'are answered with an error of the callee',
  not_executed: 'are not executed: refused, withheld, or nobody could be reached in time',
  unknown: 'are not answered before their deadline, or their answer is lost',
  executed: 'panic, or bring an answer that is of no use',
  cancelled: 'are given up by the caller',
};

const ORDER: Gravity[] = ['failing', 'warning', 'waiting'];

/** What is wrong now, the gravest first. */
export function problemsOf(state: State, numbers: Numbers): Problem[] {
  const notes = new Map(state.notes.map((note) => [note.replica, note.text]));
  const problems: Problem[] = state.troubles.map((text) => ({
    key: `supervisor ${text}`,
    gravity: 'warning',
    title: 'The supervisor',
    text,
  }));
  for (const { replica } of replicasOf(state.status)) {
    const { id } = replica;
    const note = notes.get(id);
    const about = (kind: string, gravity: Gravity, title: string, text: string) =>
      problems.push({ key: `${id} ${kind}`, gravity, title, text, replica: id });
    if (replica.state === 'backoff') {
      about('backoff', 'failing', `${id} keeps failing`, note ?? 'it waits to be started again');
    } else if (replica.silent === true) {
      about('silent', 'failing', `${id} is silent`, note ?? 'it gives no sign of life, and gets no calls until it does');
    } else if (Object.keys(replica.unhealthy ?? {}).length > 0) {
      const unhealthy = Object.entries(replica.unhealthy ?? {});
      const reasons = unhealthy.map(([component, reason]) => (reason === '' ? component : `${component}: ${reason}`));
      about('unhealthy', 'warning', `${id} is unhealthy`, note ?? reasons.join('; '));
    } else if (note !== undefined) {
      about('waiting', 'waiting', `${id} is ${replica.state}`, note);
    }
    if (replica.restarts > 0 && replica.state !== 'backoff') {
      about('restarts', 'warning', `${id} has failed`, `it was started again ${times(replica.restarts)}, and is ${replica.state} now`);
    }
    for (const [name, [one, several, what]] of Object.entries(COUNTS)) {
      const counted = replica.counters?.[name] ?? 0;
      if (counted > 0) {
        about(name, 'warning', `${id}: ${count(counted, one, several)} ${what}`, 'counted since it was first started');
      }
    }
  }
  problems.push(...problemsOfEdges(numbers));
  return problems.sort((one, other) => ORDER.indexOf(one.gravity) - ORDER.indexOf(other.gravity));
}

/** The edges that fail or are slow now. */
function problemsOfEdges(numbers: Numbers): Problem[] {
  return (numbers.now?.edges ?? []).flatMap((edge): Problem[] => {
    const { caller, callee, failures = {} } = edge;
    const verdict = numbers.verdict(caller, callee);
    if (verdict === undefined || verdict.tone === 'fine') {
      return [];
    }
    const kinds = (Object.entries(failures) as [Failure, number][]).filter(([kind]) => kind !== 'cancelled');
    const ways = kinds.map(([kind, perSecond]) => `${rate(perSecond)} ${FAILED[kind] ?? kind}`);
    const text = verdict.tone === 'failing' ? ways.join('; ') : verdict.text;
    const title = verdict.tone === 'failing' ? `${caller} → ${callee}: ${verdict.text}` : `${caller} → ${callee} is slow`;
    return [{ key: `${edgeKey(caller, callee)} ${verdict.tone}`, gravity: 'warning', title, text, edge: { caller, callee } }];
  });
}

function times(number: number): string {
  return number === 1 ? 'once' : number === 2 ? 'twice' : `${number} times`;
}
