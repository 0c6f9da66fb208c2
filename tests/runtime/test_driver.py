"""The driver's IR beyond this machine: it compiles for other processors."""

from __future__ import annotations

import pytest

from groundup.runtime import code, driver, system, target

TRIPLES = [
    "x86_64-unknown-linux-gnu",
    "x86_64-pc-windows-msvc",
    "aarch64-unknown-linux-gnu",
    "arm64-apple-darwin",
    "riscv64-unknown-linux-gnu",
]


@pytest.mark.parametrize("triple", TRIPLES)
@pytest.mark.parametrize("name", ["linux", "portable"])
def test_the_driver_compiles_for_other_processors(
    monkeypatch: pytest.MonkeyPatch, triple: str, name: str
) -> None:
    import llvmlite.binding as llvm

    host = system.LinuxSystem() if name == "linux" else system.PortableSystem()
    monkeypatch.setattr(system, "current", lambda: host)
    elsewhere = target.host()._replace(triple=triple)
    monkeypatch.setattr(target, "host", lambda: elsewhere)
    texts: list[str] = []

    def compile_only(text: str, symbols: tuple[str, ...], **options: object) -> tuple[int, ...]:
        texts.append(text)
        return tuple(range(1, 1 + len(symbols)))

    monkeypatch.setattr(code, "functions", compile_only)
    driver.serial_entry.__wrapped__()
    driver.entry_points.__wrapped__()
    assert len(texts) == 2

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=0, reloc="pic")
    for text in texts:
        module = llvm.parse_assembly(text)
        module.verify()
        assembly = machine.emit_assembly(module)
        assert "run_serial" in assembly or "worker" in assembly
    if triple.startswith(("x86_64", "aarch64", "arm64")):
        assert any(word in assembly for word in ("pause", "yield", "hint"))
