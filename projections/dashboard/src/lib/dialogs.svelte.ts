// Dialogs that any page can open.

export const dialogs = $state<{ open: 'palette' | 'help' | null }>({ open: null });
