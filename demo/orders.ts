/** An order as the shop writes it, as its customer remembers it, and as it is found in a restored database. */
export interface Order {
  /** 1, 2, 3, … without gaps. */
  readonly number: number;
  readonly customer: string;
  readonly product: number;
  readonly cents: number;
}

/** What the shop says to the world outside: it is open, or an order has been committed. */
export type ShopMessage =
  | { readonly type: "open"; readonly products: number }
  | { readonly type: "committed"; readonly order: Order; readonly atNs: string };

const NUMBER_MARK = "order-";
const NUMBER_DIGITS = 8;

/** The order number in text, in a form that is easily found in the bytes of a database page. */
export function formatOrderCode(number: number): string {
  return NUMBER_MARK + number.toString().padStart(NUMBER_DIGITS, "0");
}

/** The highest order number in the bytes of some database pages, 0 when there is none. */
export function newestOrderIn(pages: Uint8Array): number {
  const bytes = Buffer.from(pages.buffer, pages.byteOffset, pages.byteLength);
  let newest = 0;
  for (let at = bytes.indexOf(NUMBER_MARK); at !== -1; at = bytes.indexOf(NUMBER_MARK, at + 1)) {
    const digitsAt = at + NUMBER_MARK.length;
    const digits = bytes.toString("latin1", digitsAt, digitsAt + NUMBER_DIGITS);
    newest = Math.max(newest, Number(digits) || 0);
  }
  return newest;
}
