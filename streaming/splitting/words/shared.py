"""Abbreviations that texts of any language may hold and that are words of none."""

from streaming.splitting.words.shape import Words

SHARED = Words(
    never="""
        dr mr mrs ms prof mme mlle st ste mt ft sgt lt capt cmdr maj vs e.g i.e cf viz ca ph.d
        m.sc b.sc z.b d.h u.a o.ä z.t i.d.r u.u v.a s.o s.u p.ej p.ex sra srta dra dña bzw bspw
        ggf inkl usf vgl evtl zzgl abzgl nr str dipl ing bl.a bijv d.w.z m.m f.eks t.ex dvs sig.ra
        sig.na dott dott.ssa avv tzn np prof.dr sig sigg av avda lic napr ad.es approx incl excl
        ed.d r.i.p p.s p.p.s a.k.a hon rev
    """,
    before_number="""
        no nos nr n° nº № pp pg fig figs tab vol vols eq eqs p s § §§ art cap tel núm num n
    """,
    ambiguous="""
        n.chr v.chr al inc ltd co corp llc bros jr sr gmbh s.a s.r.l s.p.a b.v n.v a.s u.s u.k e.u
        u.s.a u.n d.c a.m p.m
    """,
    last="etc usw",
    months="january february march april june july august september october november december",
)
