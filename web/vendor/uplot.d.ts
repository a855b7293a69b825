/** The part of uPlot that the operators' page uses. */
export default class uPlot {
  constructor(options: object, data: (number | null)[][], target: HTMLElement);
  cursor: { idx?: number | null };
  setData(data: (number | null)[][]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
