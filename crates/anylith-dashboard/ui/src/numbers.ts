import { edgeKey } from './edges';
import type { ComponentNow, EdgeNow, Now, ReplicaNow } from './model';
import { type Verdict, verdicts } from './verdict';

/**
 * What is known of calls and processes now. It is the one place that the views take numbers from: where there are none,
 * each of its answers is `undefined`, and a view shows nothing in their place.
 */
export class Numbers {
  private readonly edges: Map<string, EdgeNow>;
  private readonly components: Map<string, ComponentNow>;
  private readonly replicas: Map<string, ReplicaNow>;
  private readonly judged: Map<string, Verdict>;

  constructor(readonly now: Now | undefined) {
    const called = now?.edges.filter((edge) => edge.calls_per_second > 0 || edge.in_flight > 0) ?? [];
    this.edges = new Map(called.map((edge) => [edgeKey(edge.caller, edge.callee), edge]));
    this.components = new Map(now?.components.map((component) => [component.name, component]));
    this.replicas = new Map(now?.replicas.map((replica) => [replica.id, replica]));
    this.judged = verdicts(called);
  }

  /** Whether calls are counted at all. */
  get counted(): boolean {
    return this.now !== undefined && this.now.metrics !== 'off';
  }

  replica(id: string): ReplicaNow | undefined {
    return this.replicas.get(id);
  }

  component(name: string): ComponentNow | undefined {
    return this.components.get(name);
  }

  /** What a process takes of this host's cores, from 0 to 1. */
  load(replica: string): number | undefined {
    const busy = this.replicas.get(replica)?.cores;
    return busy === undefined || this.now === undefined ? undefined : Math.min(1, busy / this.now.host_cores);
  }

  /** What goes along an edge; nothing where nobody calls. */
  edge(from: string, to: string): EdgeNow | undefined {
    return this.edges.get(edgeKey(from, to));
  }

  /** How it is with an edge along which anybody calls. */
  verdict(from: string, to: string): Verdict | undefined {
    return this.judged.get(edgeKey(from, to));
  }

  /** How wide an edge is drawn, in pixels: wider the more goes along it, and by its logarithm, or one would hide all others. */
  width(from: string, to: string): number | undefined {
    if (!this.counted) {
      return undefined;
    }
    return 1.3 + Math.min(5.2, Math.log10(1 + (this.edge(from, to)?.calls_per_second ?? 0)) * 1.8);
  }
}
