// Light, dark, or as the system.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'pulsetrail.theme';
const read = (): Theme => {
  const kept = localStorage.getItem(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
};

export const theme = $state<{ value: Theme }>({ value: read() });

export function setTheme(value: Theme): void {
  theme.value = value;
  if (value === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, value);
  applyTheme();
}

export function applyTheme(): void {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
}
