"""einsum: the strings of opt_einsum's test suite, at sizes that make them real work.

Strings: github.com/dgasmith/opt_einsum, tests/test_contract.py (each once; ",,->" has no size and
is left out). Every index of a string has the size beside it, so that the cheapest order of pairwise
contractions takes 1 to 100 MFLOP; the two strings that only read diagonals take less.
"""

from __future__ import annotations

import math
from functools import cache

from groundup.cli.bench.record import Case, Input, Suite

STRINGS = [
    ("a,->a", 4194304),
    ("ab,->ab", 2048),
    (",ab,->ab", 2048),
    ("a,ab,abc->abc", 160),
    ("a,b,ab->ab", 2048),
    ("ea,fb,gc,hd,abcd->efgh", 20),
    ("ea,fb,abcd,gc,hd->efgh", 20),
    ("abcd,ea,fb,gc,hd->efgh", 20),
    ("acdf,jbje,gihb,hfac,gfac,gifabc,hfac", 10),
    ("cd,bdhe,aidb,hgca,gc,hgibcd,hgac", 10),
    ("abhe,hidj,jgba,hiab,gab", 16),
    ("bde,cdh,agdb,hica,ibd,hgicd,hiac", 16),
    ("chd,bde,agbc,hiad,hgc,hgi,hiad", 20),
    ("chd,bde,agbc,hiad,bdi,cgh,agdb", 16),
    ("bdhe,acad,hiab,agac,hibd", 24),
    ("ab,ab,c->", 2048),
    ("ab,ab,c->c", 2048),
    ("ab,ab,cd,cd->", 2048),
    ("ab,ab,cd,cd->ac", 2048),
    ("ab,ab,cd,cd->cd", 2048),
    ("ab,ab,cd,cd,ef,ef->", 2048),
    ("ab,cd,ef->abcdef", 12),
    ("ab,cd,ef->acdf", 40),
    ("ab,cd,de->abcde", 20),
    ("ab,cd,de->be", 192),
    ("ab,bcd,cd->abcd", 40),
    ("ab,bcd,cd->abd", 160),
    ("eb,cb,fb->cef", 64),
    ("dd,fb,be,cdb->cef", 64),
    ("bca,cdb,dbf,afc->", 56),
    ("dcc,fce,ea,dbf->ab", 56),
    ("fdf,cdd,ccd,afe->ae", 160),
    ("abcd,ad", 40),
    ("ed,fcd,ff,bcf->be", 64),
    ("baa,dcf,af,cde->be", 64),
    ("bd,db,eac->ace", 160),
    ("fff,fae,bef,def->abd", 28),
    ("efc,dbc,acf,fd->abe", 28),
    ("ab,ab", 2048),
    ("ab,ba", 2048),
    ("abc,abc", 160),
    ("abc,bac", 160),
    ("abc,cba", 160),
    ("ab,bc", 256),
    ("ab,cb", 256),
    ("ba,bc", 256),
    ("ba,cb", 256),
    ("abcd,cd", 40),
    ("abcd,ab", 40),
    ("abcd,cdef", 16),
    ("abcd,cdef->feba", 16),
    ("abcd,efdc", 16),
    ("aab,bc->ac", 160),
    ("ab,bcc->ac", 160),
    ("aab,bcc->ac", 160),
    ("baa,bcc->ac", 160),
    ("aab,ccb->ac", 160),
    ("aab,fa,df,ecc->bde", 64),
    ("ecb,fef,bad,ed->ac", 56),
    ("bcf,bbb,fbf,fc->", 160),
    ("bb,ff,be->e", 2048),
    ("afd,ba,cc,dc->bf", 160),
    ("adb,bc,fa,cfc->d", 160),
    ("bbd,bda,fc,db->acf", 160),
    ("dba,ead,cad->bce", 28),
    ("aef,fbc,dca->bde", 24),
    ("bcb,bb,fc,fff->", 160),
    ("fbb,dfd,fc,fc->", 160),
]


def parts(string: str) -> tuple[list[str], str]:
    """Its operands and its result; without an arrow, what occurs once, in alphabetical order."""
    left, arrow, right = string.partition("->")
    if not arrow:
        right = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    return left.split(","), right


def flop(string: str, size: int) -> float:
    """The flop of the cheapest order of pairwise contractions, a multiplication and an addition for
    each combination of the indices that take part."""
    operands, result = parts(string)
    every = frozenset(range(len(operands)))

    def letters(some: frozenset[int]) -> frozenset[str]:
        return frozenset("".join(operands[i] for i in some))

    def left(some: frozenset[int]) -> frozenset[str]:
        """The indices of an intermediate result: those that somebody else still needs."""
        if len(some) == 1:
            return letters(some)
        return letters(some) & (letters(every - some) | frozenset(result))

    @cache
    def cost(some: frozenset[int]) -> float:
        if len(some) == 1:
            return 0.0
        head, *tail = sorted(some)
        found = math.inf
        for chosen in range(2 ** len(tail) - 1):
            a = frozenset([head, *(t for i, t in enumerate(tail) if chosen >> i & 1)])
            b = some - a
            found = min(found, cost(a) + cost(b) + 2.0 * size ** len(left(a) | left(b)))
        return found

    return cost(every)


def _case(string: str, size: int) -> Case:
    operands, result = parts(string)
    shapes = [Input((size,) * len(o)) for o in operands]
    summed = len(set("".join(operands)) - set(result))
    return Case(
        f"{string} [{size}]", tuple(shapes), (size,) * len(result),
        lambda gu, *args: gu.einsum(string, *args),
        lambda torch, *args: torch.einsum(string, *args),
        lambda jax, *args: jax.numpy.einsum(string, *args),
        flop=flop(string, size), read=sum(i.nbytes for i in shapes),
        written=4.0 * size ** len(result), terms=size**summed, linear=True,
    )  # fmt: skip


def suite(small: bool = False) -> Suite:
    """Return the rows; small: every index has the size 3."""
    cases = [_case(string, 3 if small else size) for string, size in STRINGS]
    return Suite("einsum", tuple(cases), {"torch": 0.7})
