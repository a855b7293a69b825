/** The part of markdown-it that the page uses. */
export interface Token {
  type: string;
  tag: string;
  nesting: number;
  level: number;
  map: [number, number] | null;
  children: Token[] | null;
  content: string;
  info: string;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
  attrJoin(name: string, value: string): void;
}
export type Env = { isLive?: boolean };
export interface Renderer {
  rules: Record<string, (tokens: Token[], index: number, options: object, env: Env, renderer: Renderer) => string>;
  render(tokens: Token[], options: object, env: Env): string;
  renderToken(tokens: Token[], index: number, options: object): string;
}
export default class MarkdownIt {
  constructor(options: object);
  options: object;
  renderer: Renderer;
  utils: { escapeHtml(text: string): string };
  linkify: { set(options: object): void };
  core: { ruler: { push(name: string, rule: (state: { tokens: Token[] }) => void): void } };
  validateLink: (url: string) => boolean;
  parse(text: string, env: Env): Token[];
}
