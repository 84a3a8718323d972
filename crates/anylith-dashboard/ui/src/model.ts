/** What the API answers, as `openapi.json` describes it. */

export type ReplicaState = 'starting' | 'ready' | 'draining' | 'backoff' | 'stopped';

export interface Replica {
  id: string;
  pid: number | null;
  address: string | null;
  state: ReplicaState;
  restarts: number;
  build?: number;
  counters?: Record<string, number>;
  unhealthy?: Record<string, string>;
  silent?: boolean;
}

export interface Scaling {
  wanted: number;
  min: number;
  max: number;
  why: string;
}

export interface Group {
  name: string;
  components: string[];
  scaling?: Scaling;
  replicas: Replica[];
}

export interface Status {
  app: string;
  topology: string;
  epoch: number;
  groups: Group[];
  listeners: Record<string, string>;
}

export interface Note {
  replica: string;
  text: string;
}

/** How a call ended, if not with what was asked for. */
export type Failure = 'erred' | 'not_executed' | 'unknown' | 'executed' | 'cancelled';

/** What goes along edges. */
export interface Flow {
  calls_per_second: number;
  remote_per_second: number;
  failed_per_second: number;
  failures?: Partial<Record<Failure, number>>;
  in_flight: number;
  p50_us?: number;
  p99_us?: number;
}

/** What processes need. */
export interface Need {
  cores: number;
  memory_bytes: number;
  ready: number;
  total: number;
}

export type MarkKind = 'failure' | 'problem' | 'recovery' | 'restart' | 'scale' | 'reshape' | 'upgrade' | 'other';

/** Something that has happened. */
export interface Mark {
  at_ms: number;
  kind: MarkKind;
  text: string;
  about?: string;
}

export interface EdgeNow extends Flow {
  caller: string;
  callee: string;
}

export interface ComponentNow extends Flow, Need {
  name: string;
}

export interface ReplicaNow {
  id: string;
  cores?: number;
  memory_bytes?: number;
}

/** What goes on, over the last seconds. */
export interface Now extends Flow, Need {
  at_ms: number;
  seconds: number;
  metrics: 'off' | 'counters' | 'all';
  components: ComponentNow[];
  edges: EdgeNow[];
  replicas: ReplicaNow[];
  marks: Mark[];
  host_cores: number;
}

export interface MethodDetail extends Flow {
  method: string;
  p90_us?: number;
  retries_per_second: number;
  hedges_per_second: number;
  sent_bytes_per_second: number;
  received_bytes_per_second: number;
  calls: number;
}

export interface EdgeSettings {
  method?: string;
  timeout_ms: number | null;
  retries_percent?: number;
  hedge_ms?: number;
  concurrency?: number;
}

export interface EdgeDetail {
  caller: string;
  callee: string;
  methods: MethodDetail[];
  settings: EdgeSettings[];
}

/** How something went: columns of the same length, oldest first. */
export interface Past {
  at_ms: number[];
  step_ms: number;
  calls_per_second: number[];
  remote_per_second: number[];
  failed_per_second: number[];
  p50_us: (number | null)[];
  p99_us: (number | null)[];
  need?: { cores: number[]; memory_bytes: number[]; ready: number[]; total: number[] };
  marks: Mark[];
}

/** Which change is under way. Later versions may know of more kinds and stages. */
export interface Underway {
  kind: 'restart' | 'scale' | 'reshape' | 'upgrade' | 'unknown';
  to?: string;
  stage?: 'comes' | 'paused' | 'goes_back' | 'settles' | 'unknown';
}

export interface State {
  status: Status;
  notes: Note[];
  supervisor: number;
  troubles: string[];
  change: string | null;
  underway: Underway | null;
}

export interface Difference {
  topology?: string;
  epoch?: number;
  listeners?: Record<string, string>;
  groups?: Group[];
  order?: string[];
  notes?: Note[];
  supervisor?: number;
  troubles?: string[];
  change?: string | null;
  underway?: Underway | null;
}

export interface Method {
  name: string;
  idempotent: boolean;
  shape?: 'unary' | 'server_streaming' | 'client_streaming' | 'bidirectional';
  routed?: string;
}

export interface Component {
  name: string;
  summary?: string;
  implementation?: string;
  dependencies: string[];
  listeners: string[];
  methods: Method[];
  singleton?: object;
}

export interface Graph {
  app: string;
  summary?: string;
  components: Component[];
}

export interface PlacedBox {
  component: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface PlacedLine {
  from: string;
  to: string;
  path: string;
  tip_x: number;
  tip_y: number;
  leftwards: boolean;
}

export interface Picture {
  width: number;
  height: number;
  boxes: PlacedBox[];
  lines: PlacedLine[];
}

export interface TopologyPlan {
  name: string;
  groups: { name: string; components: string[]; replicas: number }[];
  problem?: string;
}

export interface GroupChange {
  name: string;
  becomes: 'new' | 'kept' | 'gone';
  components: string[];
  comes: string[];
  goes: string[];
  before: number;
  after: number;
}

export interface Plan {
  from: string;
  to: string;
  groups: GroupChange[];
  processes: { before: number; peak: number; after: number };
  memory?: { before_bytes: number; peak_bytes: number };
  outcome: 'planned' | 'done' | 'failed';
  why?: string;
  left?: string[];
}

export interface Restarted {
  outcome: 'done' | 'failed';
  why?: string;
  left?: string[];
}

/** A trace, as a list shows it. */
export interface TraceSummary {
  id: string;
  begun_us: number;
  duration_ns: number;
  name: string;
  component: string;
  span_count: number;
  failed_count: number;
  components: string[];
  kept: 'sampled' | 'failed' | 'slow' | 'related';
}

/** One thing that was done, as a part of a trace. */
export interface TraceSpan {
  id: string;
  parent?: string;
  orphan?: boolean;
  depth: number;
  name: string;
  kind: 'request' | 'client' | 'server' | 'local';
  caller?: string;
  component: string;
  method: string;
  replica?: string;
  offset_ns: number;
  duration_ns: number;
  outcome: 'answered' | Failure;
  failed: boolean;
  error?: string;
  status?: number;
  repeats: number;
}

export interface Trace extends TraceSummary {
  spans: TraceSpan[];
  cut: boolean;
}

export interface LogLine {
  source: string;
  at: string;
  level?: 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';
  component?: string;
  text: string;
}

/** The state after a change: what the change does not have stays. */
export function changed(state: State, change: Difference): State {
  const { status } = state;
  const groups = new Map(status.groups.map((group) => [group.name, group]));
  for (const group of change.groups ?? []) {
    groups.set(group.name, group);
  }
  const order = change.order ?? [...groups.keys()];
  const present = order.map((name) => groups.get(name)).filter((group) => group !== undefined);
  return {
    status: {
      app: status.app,
      topology: change.topology ?? status.topology,
      epoch: change.epoch ?? status.epoch,
      groups: present,
      listeners: change.listeners ?? status.listeners,
    },
    notes: change.notes ?? state.notes,
    supervisor: change.supervisor ?? state.supervisor,
    troubles: change.troubles ?? state.troubles,
    // `null` says that none is under way any more.
    change: change.change === undefined ? state.change : change.change,
    underway: change.underway === undefined ? state.underway : change.underway,
  };
}

/** Every replica, with its group. */
export function replicasOf(status: Status): { group: Group; replica: Replica }[] {
  return status.groups.flatMap((group) => group.replicas.map((replica) => ({ group, replica })));
}
