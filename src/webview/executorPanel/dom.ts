type Child = Node | string | undefined;

/** An element with attributes (`true` is one without a value; false and undefined are none) and what stands in it. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function setAttribute(of: Element, name: string, value: string | boolean | undefined): void {
  if (value === undefined || value === false) of.removeAttribute(name);
  else of.setAttribute(name, value === true ? '' : value);
}

/** Text with `code` and **strong** words, as the settings' descriptions have them. */
export function markdown(text: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  for (const part of text.split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
    if (part.startsWith('`')) fragment.append(element('code', {}, part.slice(1, -1)));
    else if (part.startsWith('**')) fragment.append(element('strong', {}, part.slice(2, -2)));
    else fragment.append(part);
  }
  return fragment;
}

/** The same as a screen reader says it. */
export const plain = (text: string): string => text.replaceAll(/[`*]/g, '');
