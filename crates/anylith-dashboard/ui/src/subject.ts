import { edgeKey } from './edges';

/** Whose past is looked at. */
export type Subject = { of: 'all' } | { of: 'component'; component: string } | { of: 'edge'; caller: string; callee: string };

/** A subject as one word, for a link or an option. */
export function nameOf(subject: Subject): string {
  return subject.of === 'all' ? '' : subject.of === 'component' ? subject.component : edgeKey(subject.caller, subject.callee);
}

export function subjectOf(name: string): Subject {
  const [one, other] = name.split(' ');
  return !one ? { of: 'all' } : other === undefined ? { of: 'component', component: one } : { of: 'edge', caller: one, callee: other };
}

/** The view Time of a subject. */
export function timeOf(subject: Subject): string {
  const name = nameOf(subject);
  return name === '' ? '#/time' : `#/time?of=${encodeURIComponent(name)}`;
}

/** A subject as the API is asked for it. */
export function queryOf(subject: Subject): Record<string, string> {
  switch (subject.of) {
    case 'all':
      return {};
    case 'component':
      return { component: subject.component };
    case 'edge':
      return { caller: subject.caller, callee: subject.callee };
  }
}
