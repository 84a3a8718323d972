import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { type EdgeName, REACH, dependents, edgeKey, reach } from './edges';
import { plain, rate, time } from './figures';
import { count } from './kind';
import type { Graph as GraphModel, Group, Picture, PlacedBox, PlacedLine, State } from './model';
import type { Numbers } from './numbers';
import { meaning } from './sign';

interface Props {
  state: State;
  numbers: Numbers;
  graph: GraphModel;
  picture: Picture;
  open: (component: string) => void;
  openEdge: (edge: EdgeName) => void;
}

const MARGIN = 24;

/** The head of an arrow, in pixels. */
const HEAD = 8;

/** What a letter of a box's second line takes of its width, and what is left free at its sides. */
const LETTER = 5.6;
const SIDES = 8;

/** Who is dependent on whom. */
export function Graph({ state, numbers, graph, picture, open, openEdge }: Props) {
  const [pointed, point] = useState<string | undefined>();
  const { groups } = state.status;
  const [width, height] = [picture.width + 2 * MARGIN, picture.height + 2 * MARGIN];
  const edges = graph.components.reduce((sum, component) => sum + component.dependencies.length, 0);
  const near = pointed === undefined ? undefined : new Set([pointed, ...neighbours(graph, pointed)]);
  return (
    <main class="graph">
      <header class="heading">
        <div>
          <h1>{graph.app}</h1>
          <p>
            {count(graph.components.length, 'component')}, {count(edges, 'dependency', 'dependencies')}
            {numbers.now !== undefined && numbers.counted && `, ${plain(numbers.now.calls_per_second)} calls a second`}
          </p>
        </div>
        <Legend counted={numbers.counted} />
      </header>
      <div class="canvas">
        <svg
          viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}
          style={{
            // As large as the window lets it be; and rather to be scrolled than too small to be read.
            width: `min(${width * 1.6}px, 100%, calc((100vh - 11rem) * ${width / height}))`,
            'min-width': `${width * 0.9}px`,
          }}
          role="group"
          aria-label="The dependency graph"
          class={pointed === undefined ? '' : 'pointed'}
        >
          {picture.lines.map((line) => (
            <Edge
              key={edgeKey(line.from, line.to)}
              line={line}
              groups={groups}
              numbers={numbers}
              near={pointed === undefined || line.from === pointed || line.to === pointed}
              told={pointed !== undefined}
              open={openEdge}
            />
          ))}
          {picture.boxes.map((box) => (
            <Node
              key={box.component}
              box={box}
              graph={graph}
              groups={groups}
              near={near?.has(box.component) ?? true}
              point={point}
              open={open}
            />
          ))}
        </svg>
      </div>
    </main>
  );
}

function neighbours(graph: GraphModel, name: string): string[] {
  const own = graph.components.find((component) => component.name === name)?.dependencies ?? [];
  return [...own, ...dependents(graph.components, name)];
}

function Legend({ counted }: { counted: boolean }) {
  return (
    <ul class="legend" aria-label="Legend">
      <li>→ Dependent on</li>
      <Line path="edge local" word="within a process" />
      <Line path="edge remote" word="between processes" />
      {counted && (
        <>
          <Line path="edge local much" word="many calls" />
          <Line path="edge local slow" word="◷ slow" />
          <Line path="edge local failing" word="✕ fails" />
        </>
      )}
    </ul>
  );
}

function Line({ path, word }: { path: string; word: string }) {
  return (
    <li>
      <svg viewBox="0 0 30 8" aria-hidden="true">
        <path class={path} d="M0 4h30" />
      </svg>
      {word}
    </li>
  );
}

interface EdgeProps {
  line: PlacedLine;
  groups: Group[];
  numbers: Numbers;
  near: boolean;
  /** Whether it says what goes along it, however well that goes. */
  told: boolean;
  open: (edge: EdgeName) => void;
}

function Edge({ line, groups, numbers, near, told, open }: EdgeProps) {
  const { from, to, path, tip_x: x, tip_y: y, leftwards } = line;
  const kind = reach(groups, from, to);
  const back = x + (leftwards ? HEAD : -HEAD);
  const width = numbers.width(from, to);
  const now = numbers.edge(from, to);
  const verdict = numbers.verdict(from, to);
  const tone = verdict?.tone ?? (numbers.counted ? 'idle' : '');
  const drawn = useRef<SVGPathElement>(null);
  const [spot, setSpot] = useState({ x, y });
  useLayoutEffect(() => {
    const { current } = drawn;
    if (current !== null) {
      const at = current.getPointAtLength(current.getTotalLength() / 2);
      setSpot({ x: at.x, y: at.y });
    }
  }, [path]);
  const goes =
    now === undefined
      ? numbers.counted
        ? 'nobody calls'
        : ''
      : `${rate(now.calls_per_second)}, p50 ${time(now.p50_us)}, p99 ${time(now.p99_us)}, ${rate(now.failed_per_second)} failed`;
  const about = [`${from} → ${to}: ${REACH[kind]}`, goes, verdict?.text ?? ''].filter(Boolean).join('; ');
  const says = verdict !== undefined && verdict.short !== '' ? `${verdict.mark} ${verdict.short}` : told && near && now !== undefined ? rate(now.calls_per_second) : '';
  const go = () => open({ caller: from, callee: to });
  return (
    <g
      class={`line ${tone} ${near ? '' : 'far'}`}
      data-edge={edgeKey(from, to)}
      data-reach={kind}
      data-tone={tone}
      role="button"
      tabindex={0}
      aria-label={about}
      onClick={go}
      onKeyDown={(event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          go();
        }
      }}
    >
      <title>{about}</title>
      <path class="reachable" d={path} />
      <path ref={drawn} class={`edge ${kind}`} d={path} style={width === undefined ? undefined : { 'stroke-width': `${width}px` }} />
      <path class="tip" d={`M${x} ${y}L${back} ${y - 4}V${y + 4}Z`} />
      {says !== '' && (
        <text class="says" x={spot.x} y={spot.y - 5}>
          {says}
        </text>
      )}
    </g>
  );
}

interface NodeProps {
  box: PlacedBox;
  graph: GraphModel;
  groups: Group[];
  near: boolean;
  point: (name: string | undefined) => void;
  open: (component: string) => void;
}

function Node({ box, graph, groups, near, point, open }: NodeProps) {
  const { component: name, x, y, width, height } = box;
  const component = graph.components.find((one) => one.name === name);
  const replicas = groups.filter((group) => group.components.includes(name)).flatMap((group) => group.replicas);
  const ready = replicas.filter((replica) => meaning(replica).tone === 'good').length;
  const bad = replicas.filter((replica) => meaning(replica).tone === 'bad').length;
  const how = replicas.length === 0 ? 'dormant' : ready === replicas.length ? `${ready} ready` : `${ready} of ${replicas.length} ready`;
  const methods = component?.methods.length ?? 0;
  const listeners = component?.listeners.join(', ') ?? '';
  const what = listeners !== '' ? `listener ${listeners}` : count(methods, 'method');
  const about = `${what} · ${how}`;
  // How it is matters more than what it has.
  const shorter = listeners === '' ? how : `${listeners} · ${how}`;
  const said = [about, shorter, how].map((text) => (bad > 0 ? `! ${text}` : text));
  const fits = said.find((text) => text.length * LETTER <= width - SIDES) ?? said.at(-1);
  const key = (event: KeyboardEvent) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      open(name);
    }
  };
  return (
    <g
      class={`node ${near ? '' : 'far'} ${bad > 0 ? 'bad' : ''} ${component?.listeners.length ? 'door' : ''}`}
      role="button"
      tabindex={0}
      aria-label={`${name}: ${about}`}
      data-component={name}
      onClick={() => open(name)}
      onKeyDown={key}
      onMouseEnter={() => point(name)}
      onMouseLeave={() => point(undefined)}
      onFocus={() => point(name)}
      onBlur={() => point(undefined)}
    >
      {component?.summary && <title>{component.summary}</title>}
      <rect x={x} y={y} width={width} height={height} rx={9} />
      <text class="name" x={x + width / 2} y={y + height / 2 - 3}>
        {name}
      </text>
      <text class="about" x={x + width / 2} y={y + height / 2 + 13}>
        {fits}
      </text>
    </g>
  );
}
