import { useEffect, useState } from 'preact/hooks';

/** After a letter was typed nothing is asked at once: more will follow. */
export const TYPING_MS = 250;

interface ChoiceProps {
  name: string;
  title: string;
  value: string;
  set: (value: string) => void;
  all: string;
  options: string[];
}

/** One value of a few, or all of them. */
export function Choice({ name, title, value, set, all, options }: ChoiceProps) {
  return (
    <label>
      {title}{' '}
      <select name={name} value={value} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">{all}</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    </label>
  );
}

/** `text`, once nobody has typed for a moment. */
export function useSettled(text: string): string {
  const [settled, settle] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => settle(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
