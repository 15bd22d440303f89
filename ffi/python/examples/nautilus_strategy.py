"""A strategy of NautilusTrader whose `on_bar` pushes the bar into a stream, run by its back-test engine (extra `nautilus`).

    python nautilus_strategy.py MODEL BARS.parquet [--enter 0.55] [--leave 0.5] [--size 1] [--max-missing-bars 2]

The model is one of bars, such as the quickstart's. Its first output is read as a probability or position: above `enter` the
strategy goes long, below `leave` it goes flat. NautilusTrader dates a bar by its end, Tickfuse by its beginning. Back-tests
here fill at the close of the very bar that decided, without costs: they show the wiring, not what a model earns.
"""

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import tickfuse
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
COLUMNS = ["open", "high", "low", "close", "volume"]
MAX_DECIMALS = 9


class ThresholdConfig(StrategyConfig, frozen=True):
    """Which model trades what, and when."""

    bar_type: BarType
    model: str
    symbol: str
    size: float = 1.0
    enter: float = 0.55
    leave: float = 0.5
    max_missing_bars: int = 0


class ThresholdStrategy(Strategy):
    """Long above one threshold, flat below another; one stream for its one series."""

    def __init__(self, config: ThresholdConfig) -> None:
        super().__init__(config)
        self.times_ns: list[int] = []
        self.answers: list[np.ndarray] = []
        self.push_ns: list[int] = []

    def on_start(self) -> None:
        """Opens the model and asks for bars."""
        with tickfuse.Model(self.config.model) as model:
            self.stream = model.stream()
            if model.inputs[-1].categories is not None:
                self.stream.set_category(model.inputs[-1].name, self.config.symbol)
            self.interval_ns = model.schema.bar_interval_ns or 0
        self.stream.max_missing_bars = self.config.max_missing_bars
        self.instrument = self.cache.instrument(self.config.bar_type.instrument_id)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Pushes the bar, acts on its answer, prepares the next one."""
        values = [p.as_double() for p in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
        began = time.perf_counter_ns()
        step = self.stream.push_bar(tickfuse.Bar(bar.ts_event - self.interval_ns, *values))
        self.push_ns.append(time.perf_counter_ns() - began)
        if step.answer is not None:
            self.times_ns.append(step.ts_ns or 0)
            self.answers.append(step.answer.values)
            self.act(float(step.answer.values[0]))
        self.stream.prepare()

    def act(self, signal: float) -> None:
        """The policy."""
        is_flat = self.portfolio.is_flat(self.instrument.id)
        if is_flat and signal > self.config.enter:
            self.order(OrderSide.BUY)
        elif not is_flat and signal < self.config.leave:
            self.order(OrderSide.SELL)

    def order(self, side: OrderSide) -> None:
        """A market order of the configured size."""
        size = self.instrument.make_qty(self.config.size)
        self.submit_order(self.order_factory.market(self.instrument.id, side, size))


class Run(NamedTuple):
    """What came of a back-test."""

    n_bars: int
    n_orders: int
    times_ns: list[int]
    """Open times of the bars that were answered."""
    answers: np.ndarray
    push_ns: np.ndarray
    positions: pd.DataFrame


def read(path: Path) -> pd.DataFrame:
    """Bars of one symbol by column name, `ts` in milliseconds or as times, indexed by their beginning."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    times = pd.to_datetime(frame["ts"], unit="ms" if frame["ts"].dtype.kind == "i" else None, utc=True)
    return frame.set_index(pd.DatetimeIndex(times)).astype({name: float for name in COLUMNS})


def decimals(values: pd.Series) -> int:
    """Digits behind the point that keep every value."""
    fits = (n for n in range(MAX_DECIMALS) if (values.round(n) == values).all())
    return next(fits, MAX_DECIMALS)


def instrument(symbol: str, bars: pd.DataFrame) -> CurrencyPair:
    """Something that trades in the bars' own precision against dollars."""
    code = "".join(c for c in symbol if c.isalnum())
    price, size = max(decimals(bars[name]) for name in COLUMNS[:4]), decimals(bars["volume"])
    base = Currency(code, precision=8, iso4217=0, name=symbol, currency_type=CurrencyType.CRYPTO)
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol(code), VENUE),
        raw_symbol=Symbol(code),
        base_currency=base,
        quote_currency=USD,
        price_precision=price,
        size_precision=size,
        price_increment=Price(10**-price, price),
        size_increment=Quantity(10**-size, size),
        ts_event=0,
        ts_init=0,
        margin_init=0,
        margin_maint=0,
        maker_fee=0,
        taker_fee=0,
    )


def interval_name(interval_ns: int) -> str:
    """The interval in NautilusTrader's words."""
    for name, seconds in (("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60)):
        if interval_ns % (seconds * 1_000_000_000) == 0:
            return f"{interval_ns // (seconds * 1_000_000_000)}-{name}"
    raise ValueError(f"bar interval: expected whole minutes, found {interval_ns} ns")


def back_test(model: Path, bars: pd.DataFrame, symbol: str, **policy: float) -> Run:
    """Runs the strategy over the bars; `policy` is what `ThresholdConfig` has beside model and symbol."""
    with tickfuse.Model(model) as opened:
        interval_ns = opened.schema.bar_interval_ns or 0
    pair = instrument(symbol, bars)
    bar_type = BarType.from_str(f"{pair.id}-{interval_name(interval_ns)}-LAST-EXTERNAL")
    by_end = bars[COLUMNS].set_axis(bars.index + pd.Timedelta(interval_ns, "ns"))
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    worth = Money(math.ceil(bars["close"].max() * policy.get("size", 1.0)) * 100, USD)
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [worth], base_currency=USD)
    engine.add_instrument(pair)
    engine.add_data(BarDataWrangler(bar_type, pair).process(by_end))
    strategy = ThresholdStrategy(ThresholdConfig(bar_type=bar_type, model=str(model), symbol=symbol, **policy))
    engine.add_strategy(strategy)
    engine.run()
    n_orders, positions = engine.cache.orders_total_count(), engine.trader.generate_positions_report()
    engine.dispose()
    return Run(len(by_end), n_orders, strategy.times_ns, np.array(strategy.answers), np.array(strategy.push_ns), positions)


def main() -> None:
    """Runs from the command line and prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--enter", type=float, default=0.55)
    parser.add_argument("--leave", type=float, default=0.5)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--max-missing-bars", type=int, default=0)
    given = vars(parser.parse_args())
    model, path = given.pop("model"), given.pop("bars")
    bars = read(path)
    symbol = str(bars["symbol"].iloc[0]) if "symbol" in bars else path.stem
    run = back_test(model, bars, symbol, **given)
    times = np.percentile(run.push_ns[-len(run.answers) :], [50, 99]) / 1e3
    print(f"{symbol}: {run.n_bars} bars, {len(run.answers)} answers, {run.n_orders} orders, {len(run.positions)} positions")
    print(f"push_bar after prepare: median {times[0]:.1f} us, p99 {times[1]:.1f} us a bar")


if __name__ == "__main__":
    main()
