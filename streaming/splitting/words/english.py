"""English words."""

from streaming.splitting.words.shape import Words

ENGLISH = Words(
    never="""
        messrs mmes mx Gen Col Sen Rep Reps Sens Gov Pres Supt Det Insp Sgts Adm Brig Cpl Pvt
        Lieut Hon Rev Revs Fr Msgr Pfc Ven Prin Dist Univ Assn Dept dept aka ie eg e.g i.e viz
        et.al w/o r.e Ald Atty Bldg bldg Natl Intl intl Mgr Mfg cf ibid op.cit loc.cit m.p.h assoc
        Ft Mts Pt Pk Op Rd. Ste vs
    """,
    before_number="""
        nos p pp pg pgs para paras par pars vol vols ch chap chaps sec sect fig figs tab tabs eq
        eqs eqn eqns app ex exs ver ref refs art arts ln lns col cols pt pts approx circa ca c op
        bk Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec jan feb apr aug sept oct nov dec Mon
        Tue Tues Wed Thu Thur Thurs Fri Sat Sun ext rm apt Apt Rm Ext stat tel
    """,
    ambiguous="""
        jr sr esq inc ltd co corp llc plc bros st ave blvd rd ln sq hwy pkwy a.m p.m u.s u.k e.u
        u.s.a u.n d.c b.c a.d b.c.e c.e m.d ph.d j.d m.b.a b.a m.a d.d.s r.n ft sec pts max
        avg misc est temp resp esp govt Calif Fla Ga Ill Ind Mich Minn Mo Tenn Tex Va Wash Wis Conn
        Pa Ariz Ark Colo Del Mass Okla Ore
    """,
    last="etc et.c ect oz lb lbs yd yds hr hrs mins secs tsp tbsp gal qt mi km cm mm kg",
    openers="""
        the this that these those a an it its he she we they you i there here his her hers my our
        ours your yours their theirs what which who whom whose when where why how in on at by for
        from with without to of as if unless until since because although though while whereas
        after before during and but or so yet nor then thus hence therefore however moreover
        furthermore additionally also finally first second third next last meanwhile instead
        otherwise overall once did do does is are was were will would can could should may might
        must have has had let please note yes no not now don isn today tomorrow yesterday maybe
        perhaps just even both all each every some any many most more much few several other
        others another such one two three nobody everyone everything nothing something someone
        anyone only still despite according consider remember think try use make take see go get
        keep whether sometimes usually often never always later soon again okay ok well oh thanks
        sorry hi hello hey
    """,
    connectors="""
        the a an of in on at by for from with to and or but nor as that which who whose is are was
        were be been being has have had will would can could should may might must not than into
        onto upon over under between among through during without within about against his her its
        their our your my this these those very so if because while when where
    """,
    months="january february march april june july august september october november december",
)
