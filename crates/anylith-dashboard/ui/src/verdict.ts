import { edgeKey } from './edges';
import { percent, time } from './figures';
import type { EdgeNow, Flow } from './model';

/** How it is with an edge: in a tone, a mark and words, of which no one is the only sign. */
export interface Verdict {
  tone: 'fine' | 'slow' | 'failing';
  mark: '' | '◷' | '✕';
  /** In a few letters, for the edge itself; nothing where all is well. */
  short: string;
  /** In a sentence; nothing where there is nothing to say. */
  text: string;
}

/** Where one of a hundred calls takes longer than this, the edge is slow. */
const SLOW_US = 100_000;

/** Of fewer calls in a second one of a hundred is only the slowest that there was, and half of them have to be slow. */
const FEW = 2;

/** Where a larger share of the calls fails than this, the edge fails. */
const FAILING = 0.01;

/** The share of its time that an edge may have from what its callee calls itself, and still be the one that is slow. */
const OWN = 0.5;

/** How it is with each edge, by its key. */
export function verdicts(edges: EdgeNow[]): Map<string, Verdict> {
  const slowest = new Map<string, EdgeNow>();
  for (const edge of edges) {
    const known = slowest.get(edge.caller);
    if (known === undefined || (edge.p99_us ?? 0) > (known.p99_us ?? 0)) {
      slowest.set(edge.caller, edge);
    }
  }
  return new Map(edges.map((edge) => [edgeKey(edge.caller, edge.callee), judge(edge, slowest.get(edge.callee))]));
}

/** `next`: the slowest of the edges that its callee calls along. */
function judge(edge: EdgeNow, next: EdgeNow | undefined): Verdict {
  const share = failedShare(edge);
  if (share > FAILING) {
    const short = `${percent(share)} fail`;
    return { tone: 'failing', mark: '✕', short, text: `${percent(share)} of the calls fail` };
  }
  const few = edge.calls_per_second < FEW;
  const own = (few ? edge.p50_us : edge.p99_us) ?? 0;
  if (own < SLOW_US) {
    return { tone: 'fine', mark: '', short: '', text: '' };
  }
  const takes = `${few ? 'half of the calls take' : 'one of a hundred calls takes'} ${time(own)}`;
  // Whoever waits for another is not the one to look at.
  if (next !== undefined && (next.p99_us ?? 0) > own * OWN) {
    const text = `${takes}, most of it for what ${edge.callee} calls: ${next.callee}`;
    return { tone: 'fine', mark: '', short: '', text };
  }
  return { tone: 'slow', mark: '◷', short: `${few ? 'p50' : 'p99'} ${time(own)}`, text: `${takes} or longer` };
}

/** The share of calls that end otherwise than with what was asked for. Those that their callers gave up are not among them. */
function failedShare(flow: Flow): number {
  const failed = flow.failed_per_second - (flow.failures?.cancelled ?? 0);
  return flow.calls_per_second > 0 ? Math.max(0, failed / flow.calls_per_second) : 0;
}
