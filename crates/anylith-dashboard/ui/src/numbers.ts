import type { EdgeTraffic, State } from './model';

/**
 * What is known of calls and load. It is the one place that the views take numbers from: where there are none, each of
 * its answers is `undefined`, and a view shows nothing in their place.
 */
export class Numbers {
  private readonly edges: Map<string, EdgeTraffic>;

  constructor(private readonly state: State) {
    const edges = state.traffic?.edges ?? [];
    this.edges = new Map(edges.map((edge) => [`${edge.from} ${edge.to}`, edge]));
  }

  /** What a replica bears, from 0 to 1 of what it can. */
  load(replica: string): number | undefined {
    const load = this.state.traffic?.load[replica];
    return load === undefined ? undefined : Math.min(1, Math.max(0, load));
  }

  /** What goes along an edge. */
  edge(from: string, to: string): EdgeTraffic | undefined {
    return this.edges.get(`${from} ${to}`);
  }

  /** How wide an edge is drawn, in pixels: wider the more goes along it, and by its logarithm, or one would hide all others. */
  width(from: string, to: string): number | undefined {
    const edge = this.edge(from, to);
    return edge === undefined ? undefined : 1.5 + Math.min(4.5, Math.log10(1 + edge.calls_per_second) * 1.5);
  }
}
