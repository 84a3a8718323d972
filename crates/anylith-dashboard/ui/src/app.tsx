import { useEffect, useState } from 'preact/hooks';

import { type Address, read } from './address';
import type { Api } from './api';
import { Calls } from './calls';
import { type Asking, ChangeDialog, type Ending, make } from './changes';
import { ComponentSheet } from './component-sheet';
import { EdgeSheet } from './edge-sheet';
import { type EdgeName, edgeKey } from './edges';
import { indices } from './glyph';
import { Graph } from './graph';
import { count } from './kind';
import { type Connection, type Live, useLive } from './live';
import { Logs } from './logs';
import type { Graph as GraphModel, Picture, State } from './model';
import { Numbers } from './numbers';
import { Problems } from './problem-list';
import { problemsOf } from './problems';
import { Shape } from './shape';
import { subjectOf, timeOf } from './subject';
import { type Theme, keptTheme, setTheme } from './theme';
import { Time } from './time';

const VIEWS = ['shape', 'graph', 'calls', 'time', 'problems', 'logs'] as const;
type ViewName = (typeof VIEWS)[number];

const TITLES: Record<ViewName, string> = {
  shape: 'Shape',
  graph: 'Graph',
  calls: 'Calls',
  time: 'Time',
  problems: 'Problems',
  logs: 'Logs',
};

/** What lies beside the view, one at a time. */
type Sheet = { of: 'component'; component: string } | { of: 'edge'; edge: EdgeName };

/** The whole page. */
export function App({ api, live }: { api: Api; live: Live }) {
  const { state, now, connection } = useLive(live);
  const [{ view, wish }, setAddress] = useState<Address<ViewName>>(read(location.hash, VIEWS));
  const [asking, ask] = useState<Asking>();
  const [sheet, setSheet] = useState<Sheet>();
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<Ending>();
  const drawn = useDrawn(api, state);
  useEffect(() => {
    const turn = () => setAddress(read(location.hash, VIEWS));
    addEventListener('hashchange', turn);
    return () => removeEventListener('hashchange', turn);
  }, []);
  useEffect(() => {
    document.title = state === undefined ? 'Anylith' : `${state.status.app} · ${TITLES[view]}`;
  }, [state?.status.app, view]);
  if (state === undefined) {
    return <Waiting connection={connection} />;
  }
  const numbers = new Numbers(now);
  const places = indices(state.status.groups.flatMap((group) => group.components));
  const open = (component: string) => setSheet({ of: 'component', component });
  const openEdge = (edge: EdgeName) => setSheet({ of: 'edge', edge });
  const closeSheet = () => setSheet(undefined);
  const askFor = (wanted: Asking) => {
    closeSheet();
    ask(wanted);
  };
  return (
    <>
      <Head state={state} numbers={numbers} view={view} connection={connection} />
      {connection !== 'live' && (
        <p class="stale" role="alert">
          {CONNECTIONS[connection].about}
        </p>
      )}
      <Progress state={state} making={making} ending={ending} dismiss={() => setEnding(undefined)} />
      {view === 'shape' && <Shape state={state} numbers={numbers} indices={places} ask={askFor} open={open} />}
      {view === 'graph' &&
        (drawn === undefined ? (
          <main class="waiting">Drawing the graph…</main>
        ) : (
          <Graph state={state} numbers={numbers} graph={drawn.graph} picture={drawn.picture} open={open} openEdge={openEdge} />
        ))}
      {view === 'calls' && <Calls key={wish.toString()} api={api} graph={drawn?.graph} wish={wish} />}
      {view === 'time' && (
        <Time
          api={api}
          numbers={numbers}
          graph={drawn?.graph}
          subject={subjectOf(wish.get('of') ?? '')}
          choose={(subject) => {
            location.hash = timeOf(subject);
          }}
        />
      )}
      {view === 'problems' && <Problems api={api} state={state} numbers={numbers} openEdge={openEdge} />}
      {view === 'logs' && <Logs key={wish.toString()} api={api} state={state} wish={wish} />}
      {sheet?.of === 'component' && (
        <ComponentSheet
          key={sheet.component}
          name={sheet.component}
          api={api}
          state={state}
          numbers={numbers}
          graph={drawn?.graph}
          ask={askFor}
          open={open}
          openEdge={openEdge}
          close={closeSheet}
        />
      )}
      {sheet?.of === 'edge' && (
        <EdgeSheet
          key={edgeKey(sheet.edge.caller, sheet.edge.callee)}
          edge={sheet.edge}
          api={api}
          state={state}
          numbers={numbers}
          open={open}
          close={closeSheet}
        />
      )}
      {asking !== undefined && (
        <ChangeDialog
          asking={asking}
          api={api}
          state={state}
          make={(wish) => {
            setEnding(undefined);
            setMaking(true);
            void make(api, wish).then((end) => {
              setMaking(false);
              setEnding(end);
            });
          }}
          close={() => ask(undefined)}
        />
      )}
    </>
  );
}

/** The graph and where it goes, asked for anew when another build may be there. */
function useDrawn(api: Api, state: State | undefined): { graph: GraphModel; picture: Picture } | undefined {
  const [drawn, setDrawn] = useState<{ graph: GraphModel; picture: Picture }>();
  const builds = state?.status.groups.flatMap((group) => group.replicas.map((replica) => replica.build ?? 0)) ?? [];
  const newest = state === undefined ? undefined : Math.max(0, ...builds);
  useEffect(() => {
    let current = true;
    if (newest !== undefined) {
      const asked = Promise.all([api.get<GraphModel>('graph'), api.get<Picture>('picture')]);
      // Without them there are still the processes; the graph's view says that it waits.
      asked.then(([graph, picture]) => current && setDrawn({ graph, picture }), () => {});
    }
    return () => {
      current = false;
    };
  }, [api, newest]);
  return drawn;
}

interface HeadProps {
  state: State;
  numbers: Numbers;
  view: ViewName;
  connection: Connection;
}

function Head({ state, numbers, view, connection }: HeadProps) {
  const problems = problemsOf(state, numbers).filter(({ gravity }) => gravity !== 'waiting').length;
  return (
    <header class="head">
      <a class="brand" href="#/shape">
        {state.status.app}
      </a>
      <span class="topology" title="The topology that it runs in">
        {state.status.topology}
      </span>
      <nav aria-label="Views">
        {VIEWS.map((name) => (
          <a key={name} href={`#/${name}`} aria-current={name === view ? 'page' : undefined}>
            {TITLES[name]}
            {name === 'problems' && problems > 0 && (
              <span class="badge" role="img" aria-label={count(problems, 'problem')}>
                {problems}
              </span>
            )}
          </a>
        ))}
      </nav>
      <ConnectionSign connection={connection} />
      <ThemeSwitch />
    </header>
  );
}

const CONNECTIONS: Record<Connection, { mark: string; word: string; about: string }> = {
  connecting: { mark: '…', word: 'connecting', about: 'The page has not been told anything yet.' },
  live: { mark: '●', word: 'live', about: 'What the page shows is so now.' },
  lost: {
    mark: '✕',
    word: 'not connected',
    about: 'What the page shows was so: nobody answers it now. It tries again by itself; the address of a new run is what `anylith dashboard` prints.',
  },
  silent: { mark: '?', word: 'no answer', about: 'The supervisor does not answer; the replicas may serve on.' },
  refused: { mark: '✕', word: 'another run', about: 'This page is of an earlier run: open it anew with `anylith dashboard`.' },
};

function ConnectionSign({ connection }: { connection: Connection }) {
  const { mark, word, about } = CONNECTIONS[connection];
  return (
    <span class={`connection ${connection}`} role="status" title={about}>
      <span aria-hidden="true">{mark}</span> {word}
    </span>
  );
}

function Waiting({ connection }: { connection: Connection }) {
  const { word, about } = CONNECTIONS[connection];
  return (
    <main class="waiting">
      <h1>{word}</h1>
      <p>{about}</p>
    </main>
  );
}

const THEMES: Theme[] = ['auto', 'light', 'dark'];

function ThemeSwitch() {
  const [theme, choose] = useState(keptTheme(localStorage));
  useEffect(() => setTheme(theme, localStorage, document.documentElement), [theme]);
  return (
    <label class="theme">
      Theme{' '}
      <select value={theme} onChange={(event) => choose(event.currentTarget.value as Theme)}>
        {THEMES.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface ProgressProps {
  state: State;
  making: boolean;
  ending: Ending | undefined;
  dismiss: () => void;
}

/** How far a change has come, and how it ended. */
function Progress({ state: { change, underway }, making, ending, dismiss }: ProgressProps) {
  const under = change ?? (making ? 'asking for the change' : undefined);
  return (
    <div class="progress" aria-live="polite">
      {under !== undefined ? (
        <p class="under-way">
          {underway?.stage === 'paused' ? <span aria-hidden="true">❚❚</span> : <span class="spinner" aria-hidden="true" />} {under}
        </p>
      ) : (
        ending !== undefined && (
          <div class={ending.good ? 'done' : 'failed'}>
            <p>
              <span aria-hidden="true">{ending.good ? '✓' : '✕'}</span> {ending.text}
            </p>
            {ending.more.map((line) => (
              <p key={line} class="more">
                {line}
              </p>
            ))}
            <button type="button" class="plain" aria-label="Dismiss" onClick={dismiss}>
              ✕
            </button>
          </div>
        )
      )}
    </div>
  );
}
